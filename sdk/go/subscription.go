package tidings

import (
	"context"
	"errors"
	"iter"
	"sync"

	"google.golang.org/protobuf/proto"
)

// An Event is one of *Hello, *Message, *ReadState, *OnlineState, *CaughtUp, *Gap, *RoomState and *Reset. A newer version
// may add others, so a switch over its type should have no default that fails.
type Event any

// A Reset says that the server does not know the positions of the subscription, for example after its store was restored
// from a backup. The subscription starts anew; the lists show the messages that it missed.
type Reset struct {
	// Reason is the server's reason, such as POSITION_IN_FUTURE.
	Reason string
}

// A Subscription receives messages, and reconnects until it is closed. It is safe for concurrent use. It connects when a
// loop over Events or Messages begins, and ends with that loop, of which there is one.
type Subscription struct {
	client *Client
	ctx    context.Context
	config subscribeConfig
	// err is the mistake in the options, or of the client.
	err error
	// wake tells the session that one of the fields below changed.
	wake chan struct{}
	// changed tells the saver that the consumed positions changed.
	changed chan struct{}
	// calling is held during the functions of OnState, OnUnread and OnError.
	calling sync.Mutex

	mu     sync.Mutex
	state  State
	badge  badge
	online *OnlineState
	rooms  rooms
	// roomsChanged: the rooms have changed since the stream was opened.
	roomsChanged bool
	// received are the positions received: they identify duplicates, and the next stream starts there.
	received positions
	// consumed are the positions that the loop has taken: these are saved.
	consumed positions
	queue    queue
	// loaded: the saved positions were read.
	loaded  bool
	looping bool
	closed  bool
}

type subscribeConfig struct {
	// request has the filters. Its positions and rooms are filled in for each stream.
	request    *subscribeRequest
	store      Store
	queueLimit int
	onState    func(State)
	onUnread   func(*UnreadTotals)
	onError    func(error)
}

// Subscribe returns a subscription, which receives the messages of the caller's feeds in their order, each of them once,
// whatever happens to its connections. It ends with the context, with Close, and with its client.
func (c *Client) Subscribe(ctx context.Context, options ...SubscribeOption) *Subscription {
	s := &Subscription{
		client:   c,
		ctx:      ctx,
		config:   subscribeConfig{request: &subscribeRequest{InstanceId: newUUID()}, queueLimit: defaultQueueLimit},
		err:      c.err,
		wake:     make(chan struct{}, 1),
		changed:  make(chan struct{}, 1),
		state:    StateIdle,
		received: positions{},
		consumed: positions{},
	}
	s.queue.ready = make(chan struct{}, 1)
	for _, option := range options {
		option(s)
	}
	return s
}

// State returns the state of the connection.
func (s *Subscription) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Unread returns the unread totals of the user, kept up to date as messages arrive; nil until they are known, and for
// services. They must not be changed.
func (s *Subscription) Unread() *UnreadTotals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.badge.totals
}

// Online returns the online count of the tenant, kept up to date with WithOnlineCount; nil until it is known. It must not
// be changed.
func (s *Subscription) Online() *OnlineState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.online
}

// Join joins a room until Leave, until a RoomState with the status RoomKicked, or until the end of the subscription. The
// subscription reconnects at once, from the same positions; a RoomState reports whether the server admitted it. Join does
// nothing for a room that was joined in the same mode before; to retry a refused room at once, leave it first. It returns
// an error for an id or a mode that no server accepts, and for a 101st room.
func (s *Subscription) Join(roomID string, mode RoomMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, err := s.rooms.join(roomID, mode)
	if changed {
		s.roomsChanged = true
		poke(s.wake)
	}
	return err
}

// Leave leaves a room and forgets its position, so that a later Join starts as a new member. It does nothing for a room
// that was not joined.
func (s *Subscription) Leave(roomID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	feed, left := s.rooms.leave(roomID)
	if !left {
		return
	}
	delete(s.received, feed)
	delete(s.consumed, feed)
	s.roomsChanged = true
	poke(s.wake)
	poke(s.changed)
}

// Close ends the subscription, and its loop without an error. It does nothing when repeated.
func (s *Subscription) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue.end(nil, true)
	poke(s.wake)
}

// Messages returns the messages among the events, as Events does. It logs a warning for a Gap and for a Reset, after which
// messages are missing; a program that must know of them takes Events.
func (s *Subscription) Messages() iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		logger := s.client.config.logger
		for event, err := range s.Events() {
			if err != nil {
				yield(nil, err)
				return
			}
			switch event := event.(type) {
			case *Message:
				if !yield(event, nil) {
					return
				}
			case *Gap:
				logger.WarnContext(s.ctx, "tidings: messages were removed before they were received",
					"feed", event.GetTo().GetFeed(), "after", event.GetAfter().GetSeq(), "to", event.GetTo().GetSeq())
			case *Reset:
				logger.WarnContext(s.ctx, "tidings: the server does not know the positions", "reason", event.Reason)
			}
		}
	}
}

// Events returns the events of the subscription. The loop over them is the life of the subscription: it connects when the
// loop begins, and has ended, with all its goroutines, when the loop has.
//
// An event is consumed when the loop asks for the next one. Only consumed positions are saved in the store, so after a
// crash the loop gets the event again that it was processing. When the queue is full, the subscription drops its stream,
// and opens it again when the loop has caught up.
//
// After Close, the loop ends without an error. When the context ends, it yields the context's cause, and for an error of
// the server that a retry cannot resolve an [*Error], after the events before it. Leaving the loop early closes the
// subscription without consuming the current event. A second loop yields an error.
func (s *Subscription) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := s.begin(); err != nil {
			yield(nil, err)
			return
		}
		s.client.add(s)
		defer s.client.remove(s)
		defer s.startSaver()()
		done := make(chan struct{})
		go func() {
			defer close(done)
			newSession(s).run()
		}()
		defer func() { <-done }()
		defer s.Close()
		for {
			entry, err := s.next()
			if entry == nil {
				if err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(entry.event, nil) {
				return
			}
			s.consume(entry)
		}
	}
}

// begin begins the only loop.
func (s *Subscription) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.looping {
		return errors.New("tidings: a subscription has one loop over its events")
	}
	s.looping = true
	return nil
}

// next waits for an event. It returns nil at the end, with the error of the end.
func (s *Subscription) next() (*entry, error) {
	for {
		s.mu.Lock()
		entry, ended, err := s.queue.take()
		s.mu.Unlock()
		if entry != nil || ended {
			return entry, err
		}
		<-s.queue.ready
	}
}

// consume takes the positions of an event: the loop has asked for the next one.
func (s *Subscription) consume(entry *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.taken = nil
	s.advanceConsumed(entry.positions)
	if len(s.queue.entries) == 0 {
		poke(s.wake)
	}
}

func (s *Subscription) advanceConsumed(list []*Position) {
	if len(list) > 0 {
		s.consumed.advance(list...)
		poke(s.changed)
	}
}

// answer takes the totals of a unary response.
func (s *Subscription) answer(totals *UnreadTotals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.badge.answer(totals)
	poke(s.wake)
}

// request returns the request of the next stream.
func (s *Subscription) request() *subscribeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roomsChanged = false
	request := proto.CloneOf(s.config.request)
	request.Positions = s.received.list(s.rooms.follows)
	request.Rooms = s.rooms.list()
	return request
}

// callback calls a function of the caller, one at a time.
func (s *Subscription) callback(call func()) {
	s.calling.Lock()
	defer s.calling.Unlock()
	call()
}

// poke wakes the reader of a channel with a buffer of one.
func poke(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

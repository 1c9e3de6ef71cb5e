package tidings

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"google.golang.org/protobuf/proto"
)

// helloTimeout is the deadline of a stream's Hello.
const helloTimeout = 10 * time.Second

// A session drives the state machine of a subscription in one goroutine: it opens and drops streams, owns the one timer,
// and classifies the ends of streams.
type session struct {
	*Subscription
	machine machine
	timer   *time.Timer
	results chan result
	// current is the attempt whose results count; nil if there is none.
	current  *attempting
	attempts sync.WaitGroup
	token    string
	// helloAt is the time of the Hello of the current stream; zero before that.
	helloAt time.Time
	// silence is the longest silence of a stream before it counts as dead; 0 for no limit.
	silence time.Duration
	// eventBy is the time at which the next event is overdue.
	eventBy time.Time
	// reported is the state whose error was reported last; empty since the subscription was live.
	reported State
	// shown are the totals of the last call of OnUnread.
	shown *UnreadTotals
}

// An attempting is a goroutine that gets a token or reads a stream.
type attempting struct {
	cancel context.CancelFunc
}

// A result comes from an attempt: a token, an event, or the end.
type result struct {
	from  *attempting
	token string
	event *subscribeResponse
	err   *Error
}

func newSession(s *Subscription) *session {
	timer := time.NewTimer(0)
	timer.Stop()
	return &session{Subscription: s, machine: machine{state: StateIdle}, timer: timer, results: make(chan result)}
}

// run returns when the subscription is closed and every attempt has ended.
func (s *session) run() {
	s.dispatch(sigStart, nil, 0)
	for s.machine.state != StateClosed {
		select {
		case <-s.ctx.Done():
			s.close(context.Cause(s.ctx))
		case <-s.client.ctx.Done():
			s.close(nil)
		case <-s.wake:
			s.woken()
		case <-s.timer.C:
			s.timedOut()
		case result := <-s.results:
			if result.from == s.current {
				s.take(result)
			}
		}
		s.showUnread()
	}
	s.attempts.Wait()
}

// close ends the loop at once.
func (s *session) close(cause error) {
	s.mu.Lock()
	s.queue.end(cause, true)
	s.mu.Unlock()
	s.dispatch(sigClose, nil, 0)
}

// woken acts on what other goroutines have changed.
func (s *session) woken() {
	s.mu.Lock()
	closed, roomsChanged := s.closed, s.roomsChanged
	drained := len(s.queue.entries) == 0 && s.queue.taken == nil
	s.mu.Unlock()
	if closed {
		s.close(nil)
		return
	}
	if drained {
		s.dispatch(sigDrained, nil, 0)
	}
	if roomsChanged {
		s.dispatch(sigResubscribe, nil, 0)
	}
}

// dispatch gives the machine a signal, and acts on the state that follows.
func (s *session) dispatch(sig signal, err *Error, after time.Duration) {
	in := input{signal: sig, after: after}
	if !s.helloAt.IsZero() {
		in.uptime = time.Since(s.helloAt)
	}
	next, changed := s.machine.step(in, s.client.config.fraction)
	if !changed {
		return
	}
	s.machine = next
	s.enter(next)
	if err != nil {
		s.trouble(next, err)
	}
	if next.state == StateLive && s.reported != "" {
		s.reported = ""
		s.client.config.logger.InfoContext(s.ctx, "tidings: the subscription is live again")
	}
	s.mu.Lock()
	before := s.state
	s.state = next.state
	if next.state == StateClosed {
		var end error
		if err != nil {
			end = err
		}
		s.queue.end(end, false)
	}
	s.mu.Unlock()
	if before != next.state && s.config.onState != nil {
		s.callback(func() { s.config.onState(next.state) })
	}
}

// enter performs the actions of a state.
func (s *session) enter(m machine) {
	s.timer.Stop()
	switch m.state {
	case StateConnecting:
		s.timer.Reset(helloTimeout)
		s.start(s.stream(s.request(), s.token))
	case StateReplaying, StateLive:
		s.checkSilence()
	case StateAuthorizing:
		s.drop()
		s.timer.Reset(tokenTimeout + storeTimeout)
		s.start(s.authorize)
	case StateWaiting, StateHeld, StateUnauthorized:
		s.drop()
		s.timer.Reset(m.delay)
	default:
		s.drop()
	}
}

// An attempt runs in a goroutine, and returns soon after its context has ended. Its results count until the session drops
// it; then send returns false.
type attempt func(ctx context.Context, send func(result) bool)

// start starts an attempt.
func (s *session) start(run attempt) {
	ctx, cancel := context.WithCancel(s.ctx)
	current := &attempting{cancel}
	s.current = current
	s.attempts.Go(func() {
		defer cancel()
		run(ctx, func(result result) bool {
			result.from = current
			select {
			case s.results <- result:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
}

// drop drops the current attempt.
func (s *session) drop() {
	if s.current != nil {
		s.current.cancel()
		s.current = nil
	}
	s.helloAt = time.Time{}
}

func (s *session) timedOut() {
	switch s.machine.state {
	case StateAuthorizing:
		s.overdue("no token came in time")
	case StateConnecting:
		s.overdue("no Hello came within 10 s")
	case StateReplaying, StateLive:
		s.checkSilence()
	default:
		s.dispatch(sigTimer, nil, 0)
	}
}

// checkSilence arms the watchdog of the stream. It looks back at the last event, so that an event does not have to arm it.
func (s *session) checkSilence() {
	if s.silence == 0 {
		return
	}
	left := time.Until(s.eventBy)
	if left <= 0 {
		s.overdue("no event came in time")
		return
	}
	s.timer.Reset(left)
}

func (s *session) overdue(sentence string) {
	s.dispatch(sigTimer, &Error{Code: connect.CodeDeadlineExceeded, Message: sentence}, 0)
}

// authorize loads the saved positions, the first time, and gets a token.
func (s *session) authorize(ctx context.Context, send func(result) bool) {
	if s.config.store != nil && !s.isLoaded() {
		loading, cancel := context.WithTimeout(ctx, storeTimeout)
		data, err := s.config.store.Load(loading)
		cancel()
		if err != nil {
			send(result{err: &Error{Code: connect.CodeUnavailable, Message: "store: " + err.Error(), cause: err}})
			return
		}
		s.load(data)
	}
	token, err := s.client.tokens.get(ctx)
	send(result{token: token, err: ReadError(err)})
}

func (s *session) isLoaded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded
}

// load takes saved positions. A store that ignored its deadline may answer again after the subscription went on.
func (s *session) load(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return
	}
	s.loaded = true
	for _, position := range parsePositions(data) {
		s.received.advance(position)
		s.consumed.advance(position)
	}
}

// stream returns an attempt that opens a stream and reads it to its end.
func (s *session) stream(message *subscribeRequest, token string) attempt {
	return func(ctx context.Context, send func(result) bool) {
		request := connect.NewRequest(message)
		request.Header().Set("Authorization", "Bearer "+token)
		stream, err := s.client.push.Subscribe(ctx, request)
		if err != nil {
			send(result{err: ReadError(err)})
			return
		}
		// It reads the rest of the stream, which ends when the session drops it.
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			if !send(result{event: stream.Msg()}) {
				return
			}
		}
		err = stream.Err()
		if err == nil {
			err = errors.New("the stream ended")
		}
		send(result{err: ReadError(err)})
	}
}

// take takes a result of the current attempt.
func (s *session) take(result result) {
	switch {
	case result.event != nil:
		s.receive(result.event)
	case result.err != nil && s.machine.state == StateAuthorizing:
		if result.err.isFinal() {
			s.dispatch(sigRejected, result.err, 0)
			return
		}
		s.dispatch(sigFailed, result.err, 0)
	case result.err != nil:
		s.ended(result.err)
	default:
		s.token = result.token
		s.dispatch(sigToken, nil, 0)
	}
}

// receive takes an event of the current stream.
func (s *session) receive(response *subscribeResponse) {
	now := time.Now()
	hello, isHello := response.GetEvent().(*tidingsv1.SubscribeResponse_Hello)
	_, isHeartbeat := response.GetEvent().(*tidingsv1.SubscribeResponse_Heartbeat)
	_, isCaughtUp := response.GetEvent().(*tidingsv1.SubscribeResponse_CaughtUp)
	if leaving, ok := response.GetEvent().(*tidingsv1.SubscribeResponse_GoAway); ok {
		s.dispatch(sigLater, nil, leaving.GoAway.GetReconnectAfter().AsDuration())
		return
	}
	// Ignore events before Hello, and a second Hello.
	if (s.machine.state == StateConnecting) != isHello {
		return
	}
	if isHello {
		s.helloAt = now
		s.silence = max(0, 2*hello.Hello.GetHeartbeatInterval().AsDuration())
	} else if !isHeartbeat && s.isFull() {
		// Discard the event: the next stream starts before it.
		s.dispatch(sigOverflow, nil, 0)
		// The loop may have emptied the queue meanwhile.
		poke(s.wake)
		return
	}
	s.eventBy = now.Add(s.silence)
	s.intake(response)
	if isHello {
		s.dispatch(sigHello, nil, 0)
		// Act on rooms that changed while the stream was opened.
		s.woken()
	}
	if isCaughtUp {
		s.dispatch(sigCaughtUp, nil, 0)
	}
}

func (s *session) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.entries) >= s.config.queueLimit
}

// ended takes the end of the current stream.
func (s *session) ended(err *Error) {
	switch {
	case err.refusesPositions():
		s.reset(err.Reason)
		s.dispatch(sigReset, nil, 0)
	case err.Code == connect.CodeUnauthenticated:
		s.client.tokens.refuse(s.token)
		s.dispatch(sigUnauthenticated, err, 0)
	case err.isFinal():
		s.dispatch(sigRejected, err, 0)
	case err.RetryAfter > 0:
		s.dispatch(sigLater, err, err.RetryAfter)
	default:
		s.dispatch(sigFailed, err, 0)
	}
}

// trouble reports an error when trouble begins and when its kind changes, not at every attempt. The error of the end is
// one of the loop.
func (s *session) trouble(m machine, err *Error) {
	kind := m.state
	if kind == StateHeld {
		kind = StateWaiting
	}
	// An expired token is replaced; that is no error.
	if kind == StateAuthorizing || kind == StateClosed || kind == s.reported {
		return
	}
	s.reported = kind
	s.report("tidings: the subscription is interrupted", err)
}

// showUnread calls OnUnread if the totals have changed.
func (s *session) showUnread() {
	if s.config.onUnread == nil {
		return
	}
	if totals := s.Unread(); totals != s.shown && !proto.Equal(totals, s.shown) {
		s.shown = totals
		s.callback(func() { s.config.onUnread(totals) })
	}
}

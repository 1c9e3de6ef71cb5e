package tidings

import (
	"slices"

	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
)

// intake applies one event of a stream to the positions, the totals and the queue. It sees one unbroken sequence of
// events, whatever streams they came from, and ignores events that a newer server may send.
func (s *Subscription) intake(response *subscribeResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event := response.GetEvent().(type) {
	case *tidingsv1.SubscribeResponse_Hello:
		s.badge.hello(event.Hello.GetUnread())
		if online := event.Hello.GetOnline(); online != nil {
			s.online = online
		}
		s.give(event.Hello, s.startOf(event.Hello.GetPositions()))
	case *tidingsv1.SubscribeResponse_Message:
		s.intakeMessage(event.Message)
	case *tidingsv1.SubscribeResponse_ReadState:
		s.badge.readState(event.ReadState.GetUnread())
		s.give(event.ReadState, nil)
	case *tidingsv1.SubscribeResponse_Online:
		s.online = event.Online
		s.give(event.Online, nil)
	case *tidingsv1.SubscribeResponse_CaughtUp:
		s.badge.caughtUp()
		s.give(event.CaughtUp, event.CaughtUp.GetPositions())
	case *tidingsv1.SubscribeResponse_Gap:
		var list []*Position
		if to := event.Gap.GetTo(); to != nil {
			list = []*Position{to}
		}
		s.give(event.Gap, list)
	case *tidingsv1.SubscribeResponse_Room:
		switch event.Room.GetStatus() {
		case RoomJoined, RoomRefused, RoomKicked:
			s.give(s.rooms.apply(event.Room), nil)
		}
	case *tidingsv1.SubscribeResponse_Heartbeat:
		list := event.Heartbeat.GetPositions()
		s.received.advance(list...)
		if !s.queue.pass(list) {
			s.advanceConsumed(list)
		}
	}
}

func (s *Subscription) intakeMessage(message *Message) {
	position := message.GetPosition()
	if position == nil {
		s.give(message, nil)
		return
	}
	if s.received.includes(position) {
		return
	}
	if message.GetKind() == KindNotification {
		s.badge.notification(message.GetCategory())
	}
	s.give(message, []*Position{position})
}

// startOf returns the positions of Hello that count as received. Not those of a room that was joined without a position:
// the server replays messages of that room from before its Hello position, and these are no duplicates.
func (s *Subscription) startOf(list []*Position) []*Position {
	return slices.DeleteFunc(slices.Clone(list), func(position *Position) bool {
		_, known := s.received[position.GetFeed()]
		return isRoomFeed(position.GetFeed()) && !known
	})
}

func (s *Subscription) give(event Event, list []*Position) {
	s.received.advance(list...)
	s.queue.push(event, list)
}

// reset forgets the positions, which the server does not know.
func (s *Subscription) reset(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.received)
	clear(s.consumed)
	s.queue.forget()
	poke(s.changed)
	s.queue.push(&Reset{Reason: reason}, nil)
}

package tidings

import tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"

type (
	subscribeRequest  = tidingsv1.SubscribeRequest
	subscribeResponse = tidingsv1.SubscribeResponse
)

// A SubscribeOption is an option of Subscribe. A mistake in one is the error of the loop.
type SubscribeOption func(*Subscription)

// WithKinds lets through only messages of these kinds.
func WithKinds(kinds ...Kind) SubscribeOption {
	return func(s *Subscription) { s.config.request.Kinds = append(s.config.request.Kinds, kinds...) }
}

// WithCategories lets through only messages of these categories, at most 100.
func WithCategories(categories ...string) SubscribeOption {
	return func(s *Subscription) {
		s.config.request.Categories = append(s.config.request.Categories, categories...)
	}
}

// WithEvents lets through only messages of these event names, at most 100.
func WithEvents(names ...string) SubscribeOption {
	return func(s *Subscription) { s.config.request.Events = append(s.config.request.Events, names...) }
}

// WithOnlineCount also subscribes to changes of the tenant's online count, at most one a second.
func WithOnlineCount() SubscribeOption {
	return func(s *Subscription) { s.config.request.OnlineCount = true }
}

// WithInstanceID identifies this device for rooms that admit only one: at most 128 characters. The default is a random id,
// with which the subscription is not refused because of its own lost connection, but a restarted program may be.
func WithInstanceID(id string) SubscribeOption {
	return func(s *Subscription) { s.config.request.InstanceId = id }
}

// WithRooms joins rooms, in the mode RoomModeAny.
func WithRooms(roomIDs ...string) SubscribeOption {
	return func(s *Subscription) {
		for _, roomID := range roomIDs {
			WithRoom(roomID, RoomModeAny)(s)
		}
	}
}

// WithRoom joins a room, as Join does.
func WithRoom(roomID string, mode RoomMode) SubscribeOption {
	return func(s *Subscription) {
		if _, err := s.rooms.join(roomID, mode); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// WithStore saves the consumed positions, so that the next run of the program continues where this one ended. The default
// keeps them in memory: the next run starts with live messages.
func WithStore(store Store) SubscribeOption {
	return func(s *Subscription) { s.config.store = store }
}

// WithQueueLimit sets the number of events that may wait for the loop before the stream is dropped, at least 1. The
// default is 1,000.
func WithQueueLimit(limit int) SubscribeOption {
	return func(s *Subscription) {
		if limit < 1 && s.err == nil {
			s.err = invalid("queue limit: must be at least 1")
		}
		s.config.queueLimit = limit
	}
}

// OnState calls a function with each new state of the connection. The functions of OnState, OnUnread and OnError are
// called one at a time and hold up the subscription, so they must not wait for anything.
func OnState(changed func(State)) SubscribeOption {
	return func(s *Subscription) { s.config.onState = changed }
}

// OnUnread calls a function with the unread totals when they change; they may be ahead of the loop. The totals are nil for
// services, and must not be changed.
func OnUnread(changed func(*UnreadTotals)) SubscribeOption {
	return func(s *Subscription) { s.config.onUnread = changed }
}

// OnError calls a function with an error of the connection, the token function or the store when trouble begins and when
// its kind changes, not at every attempt. The subscription goes on; an error that ends it is one of the loop instead.
func OnError(report func(error)) SubscribeOption {
	return func(s *Subscription) { s.config.onError = report }
}

package tidings

// A State is the state of a subscription's connection.
type State string

// The states of a subscription.
const (
	// StateIdle is the state before the first loop over the events.
	StateIdle State = "idle"
	// StateAuthorizing waits for the token function and, the first time, for the saved positions.
	StateAuthorizing State = "authorizing"
	// StateConnecting opens a stream, until its Hello.
	StateConnecting State = "connecting"
	// StateReplaying receives the messages that were missed.
	StateReplaying State = "replaying"
	// StateLive receives messages as they are published.
	StateLive State = "live"
	// StateWaiting is between two attempts, after a failure.
	StateWaiting State = "waiting"
	// StateHeld is between two attempts, for the delay that the server named.
	StateHeld State = "held"
	// StateUnauthorized is between two attempts, after a fresh token was refused.
	StateUnauthorized State = "unauthorized"
	// StatePaused has no stream, because the queue was full: the stream is opened again when the queue is empty.
	StatePaused State = "paused"
	// StateClosed has ended, by its context, by Close, by leaving the loop, or by an error that a retry cannot resolve.
	StateClosed State = "closed"
)

// A signal is an event that can change the state.
type signal int

const (
	// sigStart: the first loop over the events has begun.
	sigStart signal = iota
	// sigToken: the token function returned a token.
	sigToken
	// sigHello: the stream's first event arrived.
	sigHello
	// sigCaughtUp: all missed messages have been sent.
	sigCaughtUp
	// sigLater: the server named the delay before the next attempt, by GoAway or by an error with RetryInfo.
	sigLater
	// sigFailed: the stream, the token function or the store failed with an error that may be transient.
	sigFailed
	// sigUnauthenticated: the server refused the token. It stands for one of the next two.
	sigUnauthenticated
	// sigStale: a token was refused, for the first time since the connection was healthy, so it has expired.
	sigStale
	// sigRefused: a token was refused again.
	sigRefused
	// sigReset: the server refused the positions, which are forgotten by now.
	sigReset
	// sigRejected: the server refused the subscription itself, or the token function has no token for it.
	sigRejected
	// sigTimer: the timer of the state fired: the token, the Hello or the next event is overdue, or the delay is over.
	sigTimer
	// sigResubscribe: the rooms changed.
	sigResubscribe
	// sigOverflow: the queue is full.
	sigOverflow
	// sigDrained: the queue is empty.
	sigDrained
	// sigClose: the subscription was closed.
	sigClose
)

// transitions has the next state by state and signal. A state ignores a signal that its row does not have: the signal is
// late, or means nothing in that state.
var transitions = map[State]map[signal]State{
	StateIdle: {sigStart: StateAuthorizing, sigClose: StateClosed},
	StateAuthorizing: {
		sigToken:    StateConnecting,
		sigFailed:   StateWaiting,
		sigRejected: StateClosed,
		sigTimer:    StateWaiting,
		sigClose:    StateClosed,
	},
	StateConnecting:   streaming(map[signal]State{sigHello: StateReplaying}),
	StateReplaying:    greeted(map[signal]State{sigCaughtUp: StateLive}),
	StateLive:         greeted(nil),
	StateWaiting:      {sigTimer: StateAuthorizing, sigClose: StateClosed},
	StateHeld:         {sigTimer: StateAuthorizing, sigClose: StateClosed},
	StateUnauthorized: {sigTimer: StateAuthorizing, sigClose: StateClosed},
	StatePaused:       {sigDrained: StateAuthorizing, sigClose: StateClosed},
	StateClosed:       {},
}

// streaming returns the row of a state that has a stream, with further moves.
func streaming(more map[signal]State) map[signal]State {
	row := map[signal]State{
		sigLater:    StateHeld,
		sigFailed:   StateWaiting,
		sigStale:    StateAuthorizing,
		sigRefused:  StateUnauthorized,
		sigReset:    StateWaiting,
		sigRejected: StateClosed,
		sigTimer:    StateWaiting,
		sigClose:    StateClosed,
	}
	for sig, next := range more {
		row[sig] = next
	}
	return row
}

// greeted returns the row of a state whose stream has had its Hello, with further moves.
func greeted(more map[signal]State) map[signal]State {
	row := streaming(more)
	row[sigResubscribe] = StateAuthorizing
	row[sigOverflow] = StatePaused
	return row
}

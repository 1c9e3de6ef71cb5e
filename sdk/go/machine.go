package tidings

import "time"

const (
	// healthyAfter is the age at which a stream is healthy, so that the next refusal of its token counts as the first.
	healthyAfter = time.Second
	// maxFailures is the number of failures at which the back-off has reached its cap; more are not counted.
	maxFailures = 6
	// forgetAfter is the part of a stream's life for which one failure is forgotten when the stream ends: a client whose
	// stream was cut several times in quick succession must not back off for 30 s at the next outage.
	forgetAfter = 500 * time.Millisecond
	// longestHold caps the delay that a server can impose, so that one wrong answer cannot silence a client for days.
	longestHold = 5 * time.Minute
)

// An input is a signal with its circumstances.
type input struct {
	signal signal
	// uptime is the time since the Hello of the stream that ended; 0 if there was no Hello.
	uptime time.Duration
	// after is the delay that the server named, for sigLater.
	after time.Duration
}

// A machine is the connection of a subscription as a pure state machine: an immutable value, which step replaces.
type machine struct {
	state State
	// failures counts the failures not yet forgotten. An end for which the server assigned a retry slot is none.
	failures int
	// refusals counts the refusals of a token since a stream was healthy.
	refusals int
	// delay is the time to wait in the states waiting, held and unauthorized.
	delay time.Duration
}

// step returns the machine after an input, and whether the input changed anything. The function fraction returns numbers
// in [0, 1).
//
// No sequence of answers makes a client retry in a tight loop: every path back to authorizing includes a delay, with
// three exceptions. One refused token per healthy stream is replaced at once, sigDrained follows only after the consumer
// has taken a full queue, and sigResubscribe is the caller's own request.
func (m machine) step(in input, fraction func() float64) (machine, bool) {
	failures := max(0, m.failures-int(min(in.uptime/forgetAfter, maxFailures)))
	refusals := m.refusals
	if in.uptime >= healthyAfter {
		refusals = 0
	}
	sig := in.signal
	if sig == sigUnauthenticated {
		sig = sigRefused
		if refusals == 0 {
			sig = sigStale
		}
	}
	state, known := transitions[m.state][sig]
	if !known {
		return m, false
	}
	next := machine{state: state, failures: failures, refusals: refusals}
	refused := sig == sigStale || sig == sigRefused
	if refused {
		next.refusals++
	}
	// A client that waits for its retry slot has not failed.
	if refused || state == StateWaiting || state == StateHeld && !isRetrySlot(in.after) {
		next.failures = min(failures+1, maxFailures)
	}
	switch state {
	case StateWaiting:
		next.delay = backoff(failures, fraction())
	case StateHeld:
		next.delay = holdDelay(min(max(0, in.after), longestHold), failures, fraction())
	case StateUnauthorized:
		next.delay = refusedDelay(refusals, fraction())
	}
	return next, true
}

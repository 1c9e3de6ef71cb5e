package tidings

import "time"

const (
	// backoffCap is the longest back-off delay.
	backoffCap = 30 * time.Second
	// backoffBase is the bound of the first back-off delay; it doubles with every failure.
	backoffBase = 500 * time.Millisecond
)

// backoff returns a delay with full jitter: uniform over [0, min(30 s, 0.5 s × 2^failures)), so that clients which lost
// one server at the same moment do not return at the same moment.
func backoff(failures int, fraction float64) time.Duration {
	bound := backoffCap
	// 2^6 × 0.5 s is over the cap already; more would overflow in time.
	if failures < maxFailures {
		bound = min(bound, backoffBase<<failures)
	}
	return time.Duration(fraction * float64(bound))
}

// isRetrySlot reports whether a delay that the server named assigns a retry slot. A shorter delay is no schedule, so the
// back-off applies: a client that is always asked to return at once must still slow down.
func isRetrySlot(asked time.Duration) bool {
	return asked >= backoffBase
}

// holdDelay returns the delay where the server named one: never shorter than that, and spread over another half a second,
// since many clients may have been given the same one.
func holdDelay(asked time.Duration, failures int, fraction float64) time.Duration {
	if !isRetrySlot(asked) {
		return max(asked, backoff(failures, fraction))
	}
	return asked + backoff(0, fraction)
}

// refusedDelay returns the delay after a fresh token was refused, which refusals others were before it: the upper half of the
// back-off, so that it is never short. It grows, because a token may also have expired during an outage.
func refusedDelay(refusals int, fraction float64) time.Duration {
	longest := min(backoffCap, backoffBase<<min(refusals, maxFailures))
	return time.Duration(float64(longest) / 2 * (1 + fraction))
}

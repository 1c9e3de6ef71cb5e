package tidings

import "slices"

// defaultQueueLimit is the default number of events that may wait for the loop.
const defaultQueueLimit = 1_000

// An entry is an event for the loop, and the positions that are consumed with it.
type entry struct {
	event     Event
	positions []*Position
}

// A queue holds the events that the loop has not consumed, in stream order.
type queue struct {
	entries []*entry
	// taken is the entry that the loop processes; nil between two entries.
	taken *entry
	// ready tells the loop that there is an entry, or the end.
	ready chan struct{}
	ended bool
	err   error
}

// push appends an event.
func (q *queue) push(event Event, list []*Position) {
	if q.ended {
		return
	}
	q.entries = append(q.entries, &entry{event, list})
	poke(q.ready)
}

// take removes the first entry; nil if there is none. At the end it also returns the error.
func (q *queue) take() (first *entry, ended bool, err error) {
	if len(q.entries) == 0 {
		return nil, q.ended, q.err
	}
	first = q.entries[0]
	q.entries[0] = nil
	q.entries = q.entries[1:]
	q.taken = first
	return first, false, nil
}

// pass adds positions without an event to the last entry, with which they are consumed. It returns false if there is none,
// so that they are consumed at once.
func (q *queue) pass(list []*Position) bool {
	last := q.taken
	if len(q.entries) > 0 {
		last = q.entries[len(q.entries)-1]
	}
	if last == nil {
		return false
	}
	// Replace positions of the same feed, so that heartbeats do not accumulate while the loop stands still.
	kept := slices.DeleteFunc(slices.Clone(last.positions), func(old *Position) bool {
		return slices.ContainsFunc(list, func(position *Position) bool { return position.GetFeed() == old.GetFeed() })
	})
	last.positions = append(kept, list...)
	return true
}

// forget drops the positions of all entries: the server no longer knows them.
func (q *queue) forget() {
	for _, entry := range q.entries {
		entry.positions = nil
	}
	if q.taken != nil {
		q.taken.positions = nil
	}
}

// end ends the loop: at once, or after the queued events.
func (q *queue) end(err error, atOnce bool) {
	if q.ended {
		return
	}
	q.ended, q.err = true, err
	if atOnce {
		q.entries = nil
	}
	poke(q.ready)
}

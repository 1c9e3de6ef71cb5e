package tidings

import "maps"

const (
	// maxCategories is the number of categories that totals name; messages of further ones count under otherCategory,
	// here as on the server.
	maxCategories = 100
	otherCategory = "(other)"
)

// A badge counts unread messages from the stream alone. The totals of Hello are exact at CaughtUp, those of a ReadState at
// its position in the stream, and each NOTIFICATION after that adds one. Totals are never changed in place.
type badge struct {
	// totals are nil before the first Hello, and for services.
	totals *UnreadTotals
	// counting: the totals leave out the messages that follow. During the replay they include them.
	counting bool
}

// hello takes the totals of Hello, which include the messages that are replayed next.
func (b *badge) hello(totals *UnreadTotals) {
	b.counting = false
	b.totals = totals
}

// caughtUp starts to count: the replay is over.
func (b *badge) caughtUp() {
	b.counting = true
}

// readState takes totals that are exact at this position of the stream.
func (b *badge) readState(totals *UnreadTotals) {
	if totals != nil {
		b.counting = true
		b.totals = totals
	}
}

// notification counts a NOTIFICATION that has a position in a feed.
func (b *badge) notification(category string) {
	if !b.counting || b.totals == nil {
		return
	}
	counts := maps.Clone(b.totals.GetByCategory())
	if counts == nil {
		counts = map[string]uint32{}
	}
	if _, named := counts[category]; !named && len(counts) >= maxCategories {
		category = otherCategory
	}
	counts[category]++
	b.totals = &UnreadTotals{Total: b.totals.GetTotal() + 1, ByCategory: counts, Version: b.totals.GetVersion()}
}

// answer takes the totals of a unary response if their version is newer. The stream repeats them in a ReadState.
func (b *badge) answer(totals *UnreadTotals) {
	if totals != nil && (b.totals == nil || totals.GetVersion() > b.totals.GetVersion()) {
		b.totals = totals
	}
}

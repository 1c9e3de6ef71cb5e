package tidings

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
)

// maxPositions is the limit of SubscribeRequest.
const maxPositions = 128

// A point is the position in one feed.
type point struct {
	epoch uint32
	seq   uint64
}

// positions holds one position per feed.
type positions map[string]point

// includes reports whether a position is at or before the one of its feed, in the same epoch.
func (p positions) includes(position *tidingsv1.Position) bool {
	known, found := p[position.GetFeed()]
	return found && known.epoch == position.GetEpoch() && position.GetSeq() <= known.seq
}

// advance moves to the given positions, never back within an epoch; a position of another epoch replaces the old one.
func (p positions) advance(list ...*tidingsv1.Position) {
	for _, position := range list {
		if position != nil && !p.includes(position) {
			p[position.GetFeed()] = point{position.GetEpoch(), position.GetSeq()}
		}
	}
}

// list returns the positions of the feeds for which keep returns true, sorted by feed.
func (p positions) list(keep func(feed string) bool) []*tidingsv1.Position {
	list := make([]*tidingsv1.Position, 0, len(p))
	for feed, at := range p {
		if keep(feed) {
			list = append(list, &tidingsv1.Position{Feed: feed, Epoch: at.epoch, Seq: at.seq})
		}
	}
	slices.SortFunc(list, func(a, b *tidingsv1.Position) int { return strings.Compare(a.GetFeed(), b.GetFeed()) })
	return list
}

// savedPosition is the form of a position in a Store, the same as that of the TypeScript client.
type savedPosition struct {
	Feed  string `json:"feed"`
	Epoch uint32 `json:"epoch"`
	Seq   string `json:"seq"`
}

// formatPositions encodes positions for a Store.
func formatPositions(list []*tidingsv1.Position) []byte {
	saved := make([]savedPosition, len(list))
	for i, position := range list {
		saved[i] = savedPosition{position.GetFeed(), position.GetEpoch(), strconv.FormatUint(position.GetSeq(), 10)}
	}
	// Strings and numbers always encode.
	data, _ := json.Marshal(saved)
	return data
}

var feedPattern = regexp.MustCompile(`(?s)^(user|tenant|activity|everyone|room/.*)$`)

// parsePositions decodes the bytes of formatPositions. It ignores what is no position: the server would refuse it, and
// with it the others.
func parsePositions(data []byte) []*tidingsv1.Position {
	var entries []json.RawMessage
	if json.Unmarshal(data, &entries) != nil {
		return nil
	}
	var list []*tidingsv1.Position
	for _, entry := range entries {
		var saved savedPosition
		if json.Unmarshal(entry, &saved) != nil || !feedPattern.MatchString(saved.Feed) {
			continue
		}
		seq, err := strconv.ParseUint(saved.Seq, 10, 64)
		if err != nil || len(list) == maxPositions {
			continue
		}
		list = append(list, &tidingsv1.Position{Feed: saved.Feed, Epoch: saved.Epoch, Seq: seq})
	}
	return list
}

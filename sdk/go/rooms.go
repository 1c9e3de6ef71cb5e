package tidings

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

const (
	// maxRooms is the limit of SubscribeRequest.
	maxRooms = 100
	// maxRoomID is the limit of a room's id, in code points.
	maxRoomID    = 320
	directPrefix = "dm/"
	roomPrefix   = "room/"
)

// A roomJoin is a room that a subscription asks for.
type roomJoin struct {
	id   string
	mode RoomMode
	// held: the server has admitted the subscription since the room was joined.
	held bool
}

// rooms are the rooms of one subscription by their canonical ids, in the order of joining, whether or not the server has
// admitted it to them.
type rooms []roomJoin

func (r rooms) index(room string) int {
	return slices.IndexFunc(r, func(join roomJoin) bool { return join.id == room })
}

// join adds a room, and reports whether that changed anything. It checks the id, since a bad one would be an error of the
// whole subscription.
func (r *rooms) join(roomID string, mode RoomMode) (changed bool, err error) {
	room := canonicalRoom(roomID)
	if room == "" || !utf8.ValidString(room) || utf8.RuneCountInString(room) > maxRoomID ||
		strings.ContainsFunc(room, unicode.IsControl) || strings.HasPrefix(room, directPrefix) && !isDirect(room) {
		return false, fmt.Errorf("tidings: room id %q: must have 1 to %d characters, and for two users the form of DirectRoom",
			roomID, maxRoomID)
	}
	if mode == RoomModeUnspecified {
		mode = RoomModeAny
	}
	if mode < RoomModeAny || mode > RoomModeLast {
		return false, fmt.Errorf("tidings: room mode %d: must be RoomModeAny, RoomModeFirst or RoomModeLast", mode)
	}
	if i := r.index(room); i >= 0 {
		if (*r)[i].mode == mode {
			return false, nil
		}
		(*r)[i] = roomJoin{id: room, mode: mode}
		return true, nil
	}
	if len(*r) >= maxRooms {
		return false, fmt.Errorf("tidings: room id %q: a subscription has at most %d rooms at once", roomID, maxRooms)
	}
	*r = append(*r, roomJoin{id: room, mode: mode})
	return true, nil
}

// leave removes a room, and returns the name of its feed; false if the room is not there.
func (r *rooms) leave(roomID string) (feed string, left bool) {
	room := canonicalRoom(roomID)
	i := r.index(room)
	if i < 0 {
		return "", false
	}
	*r = slices.Delete(*r, i, i+1)
	return roomPrefix + room, true
}

// follows reports whether a stream with these rooms may follow a feed.
func (r rooms) follows(feed string) bool {
	room, isRoom := strings.CutPrefix(feed, roomPrefix)
	return !isRoom || r.index(room) >= 0
}

// list returns the rooms for the next stream. A client that has held a room by LAST asks for it by FIRST when it
// reconnects: a client that was offline while another one took the room must not take it back by itself.
func (r rooms) list() []*RoomJoin {
	list := make([]*RoomJoin, len(r))
	for i, join := range r {
		mode := join.mode
		if join.held && mode == RoomModeLast {
			mode = RoomModeFirst
		}
		list[i] = &RoomJoin{RoomId: join.id, Mode: mode}
	}
	return list
}

// apply takes the state of a room, and returns it for the caller. A room that another client took, and one from which the
// server kicked this one, is not joined again.
func (r *rooms) apply(state *RoomState) *RoomState {
	i := r.index(state.GetRoomId())
	if i >= 0 && state.GetStatus() == RoomJoined {
		(*r)[i].held = true
	}
	taken := i >= 0 && state.GetStatus() == RoomRefused && state.GetCode() == "already_exists" &&
		(*r)[i].held && (*r)[i].mode == RoomModeLast
	if state.GetStatus() != RoomKicked && !taken {
		return state
	}
	if i >= 0 {
		*r = slices.Delete(*r, i, i+1)
	}
	if taken {
		state = proto.CloneOf(state)
		state.Status = RoomKicked
	}
	return state
}

// isRoomFeed reports whether a feed is that of a room.
func isRoomFeed(feed string) bool {
	return strings.HasPrefix(feed, roomPrefix)
}

// DirectRoom returns the id of the direct room of two users, which only these two may enter. The order of the users does
// not matter.
func DirectRoom(a, b string) string {
	// The server sorts ids as JavaScript does, by UTF-16 code units.
	if compareUTF16(a, b) > 0 {
		a, b = b, a
	}
	escape := strings.NewReplacer("%", "%25", "/", "%2F")
	return directPrefix + escape.Replace(a) + "/" + escape.Replace(b)
}

// directUsers returns the two users of a direct room; false for any other room.
func directUsers(room string) (a, b string, direct bool) {
	rest, direct := strings.CutPrefix(room, directPrefix)
	a, b, found := strings.Cut(rest, "/")
	if !direct || !found || a == "" || b == "" || strings.Contains(b, "/") {
		return "", "", false
	}
	return unescapeID(a), unescapeID(b), true
}

func isDirect(room string) bool {
	_, _, direct := directUsers(room)
	return direct
}

// canonicalRoom returns the id of a room as the server writes it: for a direct room with its users in order, and with only
// `%` and `/` escaped.
func canonicalRoom(room string) string {
	if a, b, direct := directUsers(room); direct {
		return DirectRoom(a, b)
	}
	return room
}

// unescapeID undoes the escapes of DirectRoom, first those of `/`, as the server does.
func unescapeID(text string) string {
	return strings.ReplaceAll(strings.NewReplacer("%2F", "/", "%2f", "/").Replace(text), "%25", "%")
}

package tidings

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"google.golang.org/protobuf/proto"
)

func half() float64 { return 0.5 }

func TestStep(t *testing.T) {
	for _, c := range []struct {
		name string
		from machine
		in   input
		want machine
	}{
		{"A start authorizes", machine{state: StateIdle}, input{signal: sigStart}, machine{state: StateAuthorizing}},
		{"A token connects", machine{state: StateAuthorizing, failures: 2}, input{signal: sigToken},
			machine{state: StateConnecting, failures: 2}},
		{"A Hello replays", machine{state: StateConnecting}, input{signal: sigHello}, machine{state: StateReplaying}},
		{"CaughtUp is live", machine{state: StateReplaying}, input{signal: sigCaughtUp}, machine{state: StateLive}},
		{"A failure waits half of 2 s on average after two failures", machine{state: StateConnecting, failures: 2},
			input{signal: sigFailed}, machine{state: StateWaiting, failures: 3, delay: time.Second}},
		{"A life of 1.2 s forgets two failures", machine{state: StateLive, failures: 3},
			input{signal: sigFailed, uptime: 1200 * time.Millisecond},
			machine{state: StateWaiting, failures: 2, delay: 500 * time.Millisecond}},
		{"Seven failures count as six", machine{state: StateConnecting, failures: 6}, input{signal: sigFailed},
			machine{state: StateWaiting, failures: 6, delay: 15 * time.Second}},
		{"A named delay is kept, and is no failure", machine{state: StateLive, failures: 1},
			input{signal: sigLater, after: 7 * time.Second},
			machine{state: StateHeld, failures: 1, delay: 7250 * time.Millisecond}},
		{"A named delay is capped at 5 min", machine{state: StateLive}, input{signal: sigLater, after: 24 * time.Hour},
			machine{state: StateHeld, delay: 5*time.Minute + 250*time.Millisecond}},
		{"A short named delay does not replace the back-off", machine{state: StateLive, failures: 3},
			input{signal: sigLater, after: 10 * time.Millisecond},
			machine{state: StateHeld, failures: 4, delay: 2 * time.Second}},
		{"The first refusal of a token is replaced at once", machine{state: StateLive},
			input{signal: sigUnauthenticated}, machine{state: StateAuthorizing, failures: 1, refusals: 1}},
		{"A second refusal waits 0.5 to 1 s", machine{state: StateConnecting, refusals: 1},
			input{signal: sigUnauthenticated},
			machine{state: StateUnauthorized, failures: 1, refusals: 2, delay: 750 * time.Millisecond}},
		{"A refusal after 1 s of health counts as the first", machine{state: StateLive, refusals: 3},
			input{signal: sigUnauthenticated, uptime: time.Second},
			machine{state: StateAuthorizing, failures: 1, refusals: 1}},
		{"Refused positions wait", machine{state: StateConnecting}, input{signal: sigReset},
			machine{state: StateWaiting, failures: 1, delay: 250 * time.Millisecond}},
		{"A rejection closes", machine{state: StateConnecting}, input{signal: sigRejected}, machine{state: StateClosed}},
		{"A full queue pauses", machine{state: StateLive}, input{signal: sigOverflow}, machine{state: StatePaused}},
		{"A drained queue authorizes", machine{state: StatePaused}, input{signal: sigDrained},
			machine{state: StateAuthorizing}},
		{"Changed rooms authorize", machine{state: StateReplaying}, input{signal: sigResubscribe},
			machine{state: StateAuthorizing}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, changed := c.from.step(c.in, half); !changed || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, changed, c.want)
			}
		})
	}
}

func TestStepIgnoresSignalsThatMeanNothing(t *testing.T) {
	for _, c := range []struct {
		state State
		sig   signal
	}{
		{StateIdle, sigHello}, {StateAuthorizing, sigHello}, {StateConnecting, sigResubscribe}, {StateLive, sigDrained},
		{StateWaiting, sigFailed}, {StateHeld, sigToken}, {StatePaused, sigTimer}, {StateClosed, sigStart},
	} {
		if got, changed := (machine{state: c.state}).step(input{signal: c.sig}, half); changed {
			t.Errorf("signal %d changes %s to %s", c.sig, c.state, got.state)
		}
	}
}

// Whatever happens, a client never retries without a delay, except for its first refused token, a drained queue, and
// changed rooms.
func TestEveryPathBackToAuthorizingHasADelay(t *testing.T) {
	property := func(seed uint64) bool {
		random := rand.New(rand.NewPCG(seed, 0))
		m := machine{state: StateIdle}
		for range 200 {
			in := input{
				signal: signal(random.IntN(int(sigClose))),
				uptime: time.Duration(random.Int64N(int64(10 * time.Second))),
				after:  time.Duration(random.Int64N(int64(time.Hour))) - time.Minute,
			}
			if in.signal == sigStale || in.signal == sigRefused {
				continue
			}
			next, changed := m.step(in, random.Float64)
			if changed && next.state == StateAuthorizing && m.state != StateIdle && m.state != StatePaused &&
				in.signal != sigResubscribe && !(in.signal == sigUnauthenticated && next.refusals == 1) &&
				in.signal != sigTimer {
				t.Logf("%+v by %+v to %+v", m, in, next)
				return false
			}
			if next.failures < 0 || next.failures > maxFailures || next.delay < 0 ||
				next.delay > longestHold+backoffBase {
				t.Logf("%+v by %+v to %+v", m, in, next)
				return false
			}
			m = next
		}
		return true
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestEveryStateButClosedCanClose(t *testing.T) {
	for state, row := range transitions {
		if state != StateClosed && row[sigClose] != StateClosed {
			t.Errorf("%s does not close", state)
		}
	}
}

func TestDelaysStayWithinTheirBounds(t *testing.T) {
	property := func(failures uint8, asked int64, fraction float64) bool {
		fraction = math.Abs(fraction) / math.MaxFloat64 * (1 - 1e-12)
		count := int(failures) % (maxFailures + 1)
		bound := min(backoffCap, time.Duration(float64(backoffBase)*math.Pow(2, float64(count))))
		wait := backoff(count, fraction)
		limited := min(time.Duration(asked&math.MaxInt64), longestHold)
		held := holdDelay(limited, count, fraction)
		refused := refusedDelay(count, fraction)
		return wait >= 0 && wait < bound && held >= limited &&
			(!isRetrySlot(limited) || held < limited+backoffBase) && refused >= bound/2 && refused < bound
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

func at(feed string, epoch uint32, seq uint64) *Position {
	return &Position{Feed: feed, Epoch: epoch, Seq: seq}
}

func all(string) bool { return true }

func TestPositionsNeverGoBackWithinAnEpoch(t *testing.T) {
	p := positions{}
	p.advance(at("user", 7, 40), at("user", 7, 35), nil, at("tenant", 1, 3))
	if got := p["user"]; got != (point{7, 40}) {
		t.Errorf("user is at %+v", got)
	}
	if !p.includes(at("user", 7, 40)) || p.includes(at("user", 7, 41)) || p.includes(at("user", 8, 1)) ||
		p.includes(at("activity", 0, 0)) {
		t.Error("includes is wrong")
	}
	p.advance(at("user", 8, 35))
	if got := p["user"]; got != (point{8, 35}) {
		t.Errorf("another epoch does not replace: %+v", got)
	}
}

func TestSavedPositionsAreReadBack(t *testing.T) {
	property := func(epoch uint32, seq uint64, room string) bool {
		p := positions{}
		p.advance(at("user", epoch, seq), at("room/"+room, epoch, seq/2))
		list := parsePositions(formatPositions(p.list(all)))
		read := positions{}
		read.advance(list...)
		// JSON replaces what is not UTF-8, which no feed of a server has.
		return read["user"] == p["user"] && len(list) == 2
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func FuzzParsePositions(f *testing.F) {
	f.Add([]byte(`[{"feed":"user","epoch":1,"seq":"12"}]`))
	f.Add([]byte(`[{"feed":"users","epoch":1,"seq":"12"},{"feed":"user","epoch":-1,"seq":"1"},3,null]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, position := range parsePositions(data) {
			if !feedPattern.MatchString(position.GetFeed()) {
				t.Errorf("%q is no feed", position.GetFeed())
			}
		}
	})
}

func TestBadge(t *testing.T) {
	totals := func(total uint32, version uint64) *UnreadTotals {
		return &UnreadTotals{Total: total, ByCategory: map[string]uint32{"a": total}, Version: version}
	}
	var b badge
	b.notification("a")
	if b.totals != nil {
		t.Fatal("a badge without totals counts")
	}
	b.hello(totals(3, 1))
	b.notification("a")
	if b.totals.GetTotal() != 3 {
		t.Error("the totals of Hello include the replayed messages, and were counted twice")
	}
	b.caughtUp()
	before := b.totals
	b.notification("a")
	b.notification("b")
	if got := b.totals; got.GetTotal() != 5 || got.GetByCategory()["a"] != 4 || got.GetByCategory()["b"] != 1 {
		t.Errorf("got %v", got)
	}
	if before.GetTotal() != 3 {
		t.Error("totals were changed in place")
	}
	b.hello(totals(9, 4))
	b.readState(totals(1, 5))
	b.notification("a")
	if b.totals.GetTotal() != 2 {
		t.Error("notifications do not add after a ReadState")
	}
	b.answer(totals(8, 5))
	if b.totals.GetTotal() != 2 {
		t.Error("an answer of the same version replaces")
	}
	b.answer(totals(8, 6))
	b.answer(nil)
	b.readState(nil)
	if b.totals.GetTotal() != 8 {
		t.Error("a newer answer does not replace")
	}
}

func TestBadgeNamesAtMostAHundredCategories(t *testing.T) {
	b := badge{totals: &UnreadTotals{}, counting: true}
	for i := range 150 {
		b.notification(fmt.Sprint(i))
	}
	b.notification("7")
	counts := b.totals.GetByCategory()
	if counts["7"] != 2 || counts[otherCategory] != 50 || b.totals.GetTotal() != 151 {
		t.Errorf("got %v", b.totals)
	}
}

func TestRooms(t *testing.T) {
	var r rooms
	join := func(room string, mode RoomMode) bool {
		t.Helper()
		changed, err := r.join(room, mode)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if !join("a", RoomModeUnspecified) || join("a", RoomModeAny) || !join("b", RoomModeLast) {
		t.Error("join does not report changes")
	}
	if !r.follows("user") || !r.follows("room/a") || r.follows("room/c") {
		t.Error("follows is wrong")
	}
	r.apply(&RoomState{RoomId: "b", Status: RoomJoined})
	if mode := r.list()[1].GetMode(); mode != RoomModeFirst {
		t.Errorf("a room that was held by LAST is asked for by %v", mode)
	}
	refused := &RoomState{RoomId: "a", Status: RoomRefused, Code: "unavailable"}
	if r.apply(refused) != refused || len(r) != 2 {
		t.Error("a refused room is not asked for again")
	}
	taken := r.apply(&RoomState{RoomId: "b", Status: RoomRefused, Code: "already_exists"})
	if taken.GetStatus() != RoomKicked || len(r) != 1 {
		t.Error("a room that was taken is not given up")
	}
	r.apply(&RoomState{RoomId: "a", Status: RoomKicked})
	if len(r) != 0 {
		t.Error("a room that kicked the subscription is asked for again")
	}
	if _, left := r.leave("a"); left {
		t.Error("a room was left twice")
	}
	join("dm/bob/ann", RoomModeAny)
	if feed, left := r.leave("dm/ann/bob"); !left || feed != "room/dm/ann/bob" {
		t.Errorf("left %q, %v", feed, left)
	}
	for _, room := range []string{"", "a\n", "\xff", "dm/", "dm/a", "dm//a", "dm/a/b/c", string(make([]byte, 321))} {
		if _, err := r.join(room, RoomModeAny); err == nil {
			t.Errorf("%q is accepted", room)
		}
	}
	if _, err := r.join("a", 9); err == nil {
		t.Error("the mode 9 is accepted")
	}
	for i := range maxRooms {
		join(fmt.Sprint("room-", i), RoomModeAny)
	}
	if _, err := r.join("one more", RoomModeAny); err == nil {
		t.Error("a 101st room is accepted")
	}
}

func TestDirectRoomIsTheSameInEitherOrder(t *testing.T) {
	for _, c := range [][3]string{
		{"bob", "ann", "dm/ann/bob"},
		{"1/2", "3", "dm/1%2F2/3"},
		{"100%", "x", "dm/100%25/x"},
		// UTF-16 sorts the pair of surrogates before U+FFFD.
		{"\uFFFD", "\U0001F600", "dm/\U0001F600/\uFFFD"},
	} {
		if got := DirectRoom(c[0], c[1]); got != c[2] {
			t.Errorf("DirectRoom(%q, %q) = %q", c[0], c[1], got)
		}
	}
	property := func(a, b string) bool {
		room := DirectRoom(a, b)
		return room == DirectRoom(b, a) && canonicalRoom(room) == room
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestQueueKeepsThePositionsOfHeartbeatsForTheLastEntry(t *testing.T) {
	q := queue{ready: make(chan struct{}, 1)}
	if q.pass([]*Position{at("user", 1, 1)}) {
		t.Error("an empty queue keeps positions")
	}
	q.push("a", []*Position{at("user", 1, 2), at("tenant", 1, 1)})
	first, _, _ := q.take()
	for seq := range uint64(100) {
		if !q.pass([]*Position{at("user", 1, 3+seq)}) {
			t.Fatal("the entry that the loop processes does not keep positions")
		}
	}
	seqs := []uint64{}
	for _, position := range first.positions {
		seqs = append(seqs, position.GetSeq())
	}
	if !slices.Equal(seqs, []uint64{1, 102}) {
		t.Errorf("got %v", seqs)
	}
}

func TestRequestIDsAreAddedToACopy(t *testing.T) {
	request := &PublishRequest{Audience: ToUser("ann")}
	sent := withRequestID(request)
	if request.GetRequestId() != "" || len(sent.GetRequestId()) != 36 || sent.GetAudience().GetUserId() != "ann" {
		t.Errorf("got %v from %v", sent, request)
	}
	if withRequestID(sent) != sent {
		t.Error("a request with an id is copied")
	}
	if nameless := withRequestID(&PublishRequest{Replace: true}); nameless.GetRequestId() != "" {
		t.Error("a request that replaces a message which it does not name has an id")
	}
	if got := withRequestID(nil); !proto.Equal(got, &PublishRequest{RequestId: got.GetRequestId()}) {
		t.Errorf("got %v", got)
	}
}

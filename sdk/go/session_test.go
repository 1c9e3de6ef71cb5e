package tidings

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The tests below run in bubbles of fake time. A bubble fails if a goroutine is left at its end, so each of them also
// checks that a subscription leaks none.

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func within(t *testing.T, got, low, high time.Duration) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("after %v, want %v to %v", got, low, high)
	}
}

func TestSubscriptionContinuesAtItsPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		l := startLoop(client.Subscribe(t.Context(), WithRooms("r", "q")), false)
		first := <-fake.streams
		if len(first.request.GetPositions()) != 0 || len(first.request.GetRooms()) != 2 || first.token != "Bearer a-token" {
			t.Errorf("the first request is %v", first.request)
		}
		first.send(t, helloOf(&Hello{Positions: []*Position{at("user", 1, 5), at("room/r", 1, 9), at("room/q", 1, 9)}}))
		first.send(t, messageOf("a", at("user", 1, 6)), messageOf("again", at("user", 1, 6)),
			messageOf("in the room", at("room/r", 1, 8)), messageOf("an event", nil), messageOf("an event", nil))
		first.send(t, &subscribeResponse{}, caughtUp(at("user", 1, 7), at("tenant", 1, 2)))
		first.send(t, &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Gap{
			Gap: &Gap{After: at("activity", 1, 1), To: at("activity", 2, 4)},
		}}, heartbeat(at("tenant", 1, 3), at("tenant", 1, 1)))
		first.end <- nil
		second := <-fake.streams
		want := []*Position{at("activity", 2, 4), at("room/r", 1, 8), at("tenant", 1, 3), at("user", 1, 7)}
		got := second.request.GetPositions()
		if !slices.EqualFunc(got, want, func(a, b *Position) bool { return proto.Equal(a, b) }) {
			t.Errorf("the second request has the positions %v, want %v", got, want)
		}
		second.send(t, helloOf(&Hello{}), messageOf("a", at("user", 1, 6)), messageOf("b", at("user", 1, 8)))
		l.subscription.Close()
		if err := l.wait(); err != nil {
			t.Error(err)
		}
		equal(t, l.titles(), []string{"a", "in the room", "an event", "an event", "b"})
	})
}

func TestSubscriptionReplacesASilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		l := startLoop(client.Subscribe(t.Context()), false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{HeartbeatInterval: durationpb.New(10 * time.Second)}), caughtUp())
		time.Sleep(19 * time.Second)
		stream.send(t, heartbeat())
		heard := time.Now()
		next := <-fake.streams
		within(t, next.at.Sub(heard), 20*time.Second, 20500*time.Millisecond)
		if stream.ctx.Err() == nil {
			t.Error("the silent stream was not dropped")
		}
		// No Hello.
		after := <-fake.streams
		within(t, after.at.Sub(next.at), 10*time.Second, 10500*time.Millisecond)
		l.subscription.Close()
		<-l.done
	})
}

func TestSubscriptionDropsATokenFunctionThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		fake, client := newFake(t, func(ctx context.Context, refresh bool) (string, error) {
			if calls++; calls == 1 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "late", nil
		})
		l := startLoop(client.Subscribe(t.Context()), false)
		since := time.Now()
		stream := <-fake.streams
		within(t, stream.at.Sub(since), 30*time.Second, 31*time.Second)
		l.subscription.Close()
		<-l.done
	})
}

func TestSubscriptionReplacesARefusedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refreshes := []bool{}
		fake, client := newFake(t, func(_ context.Context, refresh bool) (string, error) {
			refreshes = append(refreshes, refresh)
			return "token", nil
		})
		var problems []error
		s := client.Subscribe(t.Context(), OnError(func(err error) { problems = append(problems, err) }))
		l := startLoop(s, false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{}), caughtUp())
		time.Sleep(6 * time.Second)
		stream.end <- refusal(connect.CodeUnauthenticated, "TOKEN_EXPIRED")
		next := <-fake.streams
		within(t, time.Since(stream.at), 6*time.Second, 6*time.Second)
		if len(problems) != 0 {
			t.Errorf("an expired token is reported: %v", problems)
		}
		next.end <- refusal(connect.CodeUnauthenticated, "TOKEN_INVALID")
		last := <-fake.streams
		within(t, last.at.Sub(next.at), 500*time.Millisecond, time.Second)
		if !slices.Equal(refreshes, []bool{false, true, true}) || len(problems) != 1 {
			t.Errorf("the token function was called with %v, and %v were reported", refreshes, problems)
		}
		s.Close()
		<-l.done
	})
}

func TestSubscriptionWaitsAsLongAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		l := startLoop(client.Subscribe(t.Context()), false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{}), &subscribeResponse{Event: &tidingsv1.SubscribeResponse_GoAway{
			GoAway: &tidingsv1.GoAway{ReconnectAfter: durationpb.New(time.Minute)},
		}})
		next := <-fake.streams
		within(t, next.at.Sub(stream.at), time.Minute, time.Minute+500*time.Millisecond)
		next.end <- refusal(connect.CodeResourceExhausted, "TOO_MANY_NEW_STREAMS", retryIn(time.Hour))
		last := <-fake.streams
		within(t, last.at.Sub(next.at), 5*time.Minute, 5*time.Minute+500*time.Millisecond)
		l.subscription.Close()
		<-l.done
	})
}

func TestSubscriptionStartsAnewWhereItsPositionsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		l := startLoop(client.Subscribe(t.Context()), false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{}), messageOf("a", at("user", 1, 6)), caughtUp())
		stream.end <- refusal(connect.CodeInvalidArgument, "POSITION_IN_FUTURE")
		next := <-fake.streams
		if len(next.request.GetPositions()) != 0 {
			t.Errorf("the next request has the positions %v", next.request.GetPositions())
		}
		next.send(t, helloOf(&Hello{}), messageOf("b", at("user", 1, 2)))
		l.subscription.Close()
		<-l.done
		equal(t, l.titles(), []string{"a", "b"})
		if !slices.ContainsFunc(l.events, func(event Event) bool {
			reset, ok := event.(*Reset)
			return ok && reset.Reason == "POSITION_IN_FUTURE"
		}) {
			t.Error("there was no Reset")
		}
	})
}

func TestSubscriptionEndsWithAFinalErrorAfterTheEventsBeforeIt(t *testing.T) {
	for _, code := range []connect.Code{
		connect.CodePermissionDenied, connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodeNotFound,
	} {
		synctest.Test(t, func(t *testing.T) {
			fake, client := newFake(t, nil)
			s := client.Subscribe(t.Context())
			l := startLoop(s, true)
			stream := <-fake.streams
			stream.send(t, helloOf(&Hello{}), messageOf("a", at("user", 1, 6)))
			stream.end <- refusal(code, "A_REASON")
			synctest.Wait()
			if s.State() != StateClosed {
				t.Errorf("%v: the state is %s", code, s.State())
			}
			for range 2 {
				l.more <- struct{}{}
			}
			refused, ok := errors.AsType[*Error](l.wait())
			if !ok || refused.Code != code || refused.Reason != "A_REASON" || refused.Field != "message.url" {
				t.Errorf("%v: got %v", code, l.err)
			}
			equal(t, l.titles(), []string{"a"})
		})
	}
}

func TestSubscriptionRetriesEveryOtherError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fake, client := newFake(t, nil, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		l := startLoop(client.Subscribe(t.Context()), false)
		for _, err := range []error{
			nil,
			refusal(connect.CodeInternal, "INTERNAL"),
			refusal(connect.CodeUnavailable, "STORE_UNAVAILABLE"),
			refusal(connect.CodeAlreadyExists, "ROOM_TAKEN"),
			connect.NewError(connect.CodePermissionDenied, errors.New("from a proxy")),
			connect.NewError(connect.CodeUnimplemented, errors.New("from a proxy")),
		} {
			(<-fake.streams).end <- err
		}
		last := <-fake.streams
		last.send(t, helloOf(&Hello{}), caughtUp())
		l.subscription.Close()
		if err := l.wait(); err != nil {
			t.Error(err)
		}
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") != 1 {
			t.Errorf("the log is\n%s", text)
		}
	})
}

func TestSubscriptionBacksOffUpTo30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		l := startLoop(client.Subscribe(t.Context()), false)
		stream := <-fake.streams
		for _, want := range []time.Duration{250, 500, 1000, 2000, 4000, 8000, 15000, 15000} {
			stream.end <- nil
			next := <-fake.streams
			within(t, next.at.Sub(stream.at), want*time.Millisecond, want*time.Millisecond)
			stream = next
		}
		l.subscription.Close()
		<-l.done
	})
}

func TestSubscriptionPausesWhileTheLoopIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		s := client.Subscribe(t.Context(), WithQueueLimit(2))
		l := startLoop(s, true)
		stream := <-fake.streams
		// The loop has the Hello, and the queue has a and b.
		stream.send(t, helloOf(&Hello{}))
		stream.send(t, messageOf("a", at("user", 1, 1)), messageOf("b", at("user", 1, 2)), heartbeat())
		if s.State() != StateReplaying {
			t.Errorf("the state is %s", s.State())
		}
		stream.events <- messageOf("c", at("user", 1, 3))
		synctest.Wait()
		if s.State() != StatePaused || stream.ctx.Err() == nil {
			t.Errorf("the state is %s, and the stream has %v", s.State(), stream.ctx.Err())
		}
		time.Sleep(time.Hour)
		for range 3 {
			l.more <- struct{}{}
		}
		next := <-fake.streams
		if seq := next.request.GetPositions()[0].GetSeq(); seq != 2 {
			t.Errorf("the next stream starts at %d", seq)
		}
		next.send(t, helloOf(&Hello{}), messageOf("c", at("user", 1, 3)))
		l.more <- struct{}{}
		synctest.Wait()
		s.Close()
		l.more <- struct{}{}
		<-l.done
		equal(t, l.titles(), []string{"a", "b", "c"})
	})
}

func TestSubscriptionEndsWithItsContextAndItsClient(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(l *loop, client *Client, cancel context.CancelFunc)
		want error
	}{
		{"Close", func(l *loop, _ *Client, _ context.CancelFunc) { l.subscription.Close() }, nil},
		{"the client's Close", func(_ *loop, client *Client, _ context.CancelFunc) { client.Close() }, nil},
		{"the context", func(_ *loop, _ *Client, cancel context.CancelFunc) { cancel() }, context.Canceled},
	} {
		for _, state := range []State{StateConnecting, StateLive, StateWaiting, StatePaused} {
			synctest.Test(t, func(t *testing.T) {
				fake, client := newFake(t, nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				limit := defaultQueueLimit
				if state == StatePaused {
					limit = 1
				}
				s := client.Subscribe(ctx, WithQueueLimit(limit))
				l := startLoop(s, state == StatePaused)
				stream := <-fake.streams
				switch state {
				case StateLive:
					stream.send(t, helloOf(&Hello{}), caughtUp())
				case StateWaiting:
					stream.end <- nil
				case StatePaused:
					stream.send(t, helloOf(&Hello{}))
					stream.send(t, messageOf("a", nil))
					stream.events <- messageOf("b", nil)
				}
				synctest.Wait()
				if s.State() != state {
					t.Fatalf("the state is %s, want %s", s.State(), state)
				}
				c.end(l, client, cancel)
				synctest.Wait()
				if state == StatePaused {
					l.more <- struct{}{}
				}
				if err := l.wait(); !errors.Is(err, c.want) || c.want == nil && err != nil {
					t.Errorf("%s in %s ends the loop with %v", c.name, state, err)
				}
				if s.State() != StateClosed {
					t.Errorf("%s in %s: the state is %s", c.name, state, s.State())
				}
			})
		}
	}
}

func TestSubscriptionHasOneLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		s := client.Subscribe(t.Context())
		l := startLoop(s, false)
		<-fake.streams
		for _, err := range s.Messages() {
			if err == nil {
				t.Error("a second loop began")
			}
		}
		s.Close()
		<-l.done
		for _, err := range client.Subscribe(t.Context(), WithRooms("", "a"), WithQueueLimit(0)).Events() {
			if err == nil || !strings.Contains(err.Error(), "room id") {
				t.Errorf("got %v", err)
			}
		}
	})
}

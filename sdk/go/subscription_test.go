package tidings

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
)

func TestMessagesLogsWhatItLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fake, client := newFake(t, nil, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		s := client.Subscribe(t.Context())
		go func() {
			stream := <-fake.streams
			for _, event := range []*subscribeResponse{
				helloOf(&Hello{}),
				{Event: &tidingsv1.SubscribeResponse_Gap{Gap: &Gap{After: at("user", 1, 3), To: at("user", 1, 7)}}},
				messageOf("a", at("user", 1, 8)),
			} {
				stream.events <- event
			}
		}()
		for message, err := range s.Messages() {
			if err != nil || message.GetTitle() != "a" {
				t.Errorf("got %v, %v", message, err)
			}
			break
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "feed=user after=3 to=7") {
			t.Errorf("the log is\n%s", text)
		}
	})
}

func TestSubscriptionCountsUnreadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		fake.mark = func(*MarkReadRequest) (*MarkReadResponse, error) {
			return &MarkReadResponse{Changed: 2, Unread: &UnreadTotals{Total: 1, Version: 9}}, nil
		}
		var shown []uint32
		s := client.Subscribe(t.Context(), WithOnlineCount(), OnUnread(func(totals *UnreadTotals) { shown = append(shown, totals.GetTotal()) }))
		l := startLoop(s, false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{Unread: &UnreadTotals{Total: 3, Version: 1}, Online: &OnlineState{Users: 4}}))
		stream.send(t, messageOf("replayed", at("user", 1, 1)), caughtUp(), messageOf("a", at("user", 1, 2)), messageOf("b", at("user", 1, 3)))
		stream.send(t, &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Online{Online: &OnlineState{Users: 5}}})
		if s.Unread().GetTotal() != 5 || s.Online().GetUsers() != 5 || !stream.request.GetOnlineCount() {
			t.Errorf("unread %v, online %v", s.Unread(), s.Online())
		}
		if _, err := client.MarkRead(t.Context(), &MarkReadRequest{Target: IDs("a", "b")}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stream.send(t, &subscribeResponse{Event: &tidingsv1.SubscribeResponse_ReadState{
			ReadState: &ReadState{Unread: &UnreadTotals{Total: 1, Version: 9}},
		}}, messageOf("c", at("user", 1, 4)))
		if want := []uint32{3, 4, 5, 1, 2}; !slices.Equal(shown, want) {
			t.Errorf("OnUnread got %v, want %v", shown, want)
		}
		s.Close()
		<-l.done
	})
}

func TestSubscriptionJoinsAndLeavesRoomsWhileItIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		s := client.Subscribe(t.Context())
		l := startLoop(s, false)
		rooms := func(stream *fakeStream) string {
			names := []string{}
			for _, room := range stream.request.GetRooms() {
				names = append(names, room.GetRoomId()+" "+strings.TrimPrefix(room.GetMode().String(), "ROOM_MODE_"))
			}
			return strings.Join(names, ", ")
		}
		stream := <-fake.streams
		// Before the Hello, the change waits for it.
		if err := s.Join("a", RoomModeAny); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stream.send(t)
		stream.events <- helloOf(&Hello{})
		stream = <-fake.streams
		if got := rooms(stream); got != "a ANY" {
			t.Errorf("got %s", got)
		}
		stream.send(t, helloOf(&Hello{}), roomOf("a", RoomJoined, ""), messageOf("m", at("room/a", 1, 7)), caughtUp())
		if err := s.Join("b", RoomModeLast); err != nil {
			t.Error(err)
		}
		stream = <-fake.streams
		if got := rooms(stream); got != "a ANY, b LAST" || len(stream.request.GetPositions()) != 1 {
			t.Errorf("got %s at %v", got, stream.request.GetPositions())
		}
		stream.send(t, helloOf(&Hello{}), roomOf("a", RoomKicked, "permission_denied"), roomOf("b", RoomJoined, ""), caughtUp())
		stream.end <- nil
		stream = <-fake.streams
		if got := rooms(stream); got != "b FIRST" || len(stream.request.GetPositions()) != 0 {
			t.Errorf("got %s at %v", got, stream.request.GetPositions())
		}
		stream.send(t, helloOf(&Hello{}))
		s.Leave("b")
		stream = <-fake.streams
		if got := rooms(stream); got != "" {
			t.Errorf("got %s", got)
		}
		s.Leave("b")
		s.Close()
		<-l.done
	})
}

func TestSubscriptionIsSafeForConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		s := client.Subscribe(t.Context(), WithStore(&memoryStore{}))
		l := startLoop(s, false)
		go func() {
			for {
				select {
				case stream := <-fake.streams:
					go func() {
						for seq := uint64(1); ; seq++ {
							event := messageOf("a", at("user", 1, seq))
							if seq == 1 {
								event = helloOf(&Hello{})
							}
							select {
							case stream.events <- event:
							case <-stream.ctx.Done():
								return
							}
						}
					}()
				case <-l.done:
					return
				}
			}
		}()
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 50 {
					_ = s.Join("a", RoomModeAny)
					_, _, _ = s.State(), s.Unread(), s.Online()
					s.Leave("a")
					client.answer(&UnreadTotals{Version: 1})
				}
			})
		}
		group.Wait()
		s.Close()
		if err := l.wait(); err != nil {
			t.Error(err)
		}
	})
}

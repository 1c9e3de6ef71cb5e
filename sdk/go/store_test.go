package tidings

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A memoryStore is a store that fails a number of times.
type memoryStore struct {
	mu        sync.Mutex
	data      []byte
	saves     int
	loadFails int
	saveFails int
}

func (m *memoryStore) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.loadFails > 0 {
		m.loadFails--
		return nil, errors.New("the disk is away")
	}
	return m.data, nil
}

func (m *memoryStore) Save(_ context.Context, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saves++
	if m.saveFails > 0 {
		m.saveFails--
		return errors.New("the disk is full")
	}
	m.data = data
	return nil
}

func (m *memoryStore) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.data)
}

func TestSubscriptionSavesOnlyWhatTheLoopHasConsumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		store := &memoryStore{data: []byte(`[{"feed":"user","epoch":1,"seq":"3"},{"feed":"room/gone","epoch":1,"seq":"3"}]`)}
		l := startLoop(client.Subscribe(t.Context(), WithStore(store)), true)
		stream := <-fake.streams
		if got := stream.request.GetPositions(); len(got) != 1 || got[0].GetSeq() != 3 {
			t.Errorf("the first stream starts at %v", got)
		}
		stream.send(t, helloOf(&Hello{}), messageOf("a", at("user", 1, 4)), messageOf("b", at("user", 1, 5)), heartbeat(at("user", 1, 9)))
		l.more <- struct{}{}
		time.Sleep(time.Second)
		if got := store.text(); !strings.Contains(got, `"seq":"3"`) {
			t.Errorf("the message that the loop processes is saved: %s", got)
		}
		l.more <- struct{}{}
		time.Sleep(time.Second)
		if got := store.text(); got != `[{"feed":"user","epoch":1,"seq":"4"}]` {
			t.Errorf("got %s", got)
		}
		// Leaving the loop does not consume b.
		close(l.leave)
		<-l.done
		if got := store.text(); got != `[{"feed":"user","epoch":1,"seq":"4"}]` {
			t.Errorf("got %s", got)
		}
		next := startLoop(client.Subscribe(t.Context(), WithStore(store)), true)
		stream = <-fake.streams
		stream.send(t, helloOf(&Hello{}), messageOf("b", at("user", 1, 5)), heartbeat(at("user", 1, 9)))
		next.more <- struct{}{}
		next.more <- struct{}{}
		synctest.Wait()
		next.subscription.Close()
		<-next.done
		if got := store.text(); got != `[{"feed":"user","epoch":1,"seq":"9"}]` {
			t.Errorf("the end saved %s", got)
		}
	})
}

func TestSubscriptionSavesAgainAfterAnErrorOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		store := &memoryStore{loadFails: 2, saveFails: 2}
		var problems []error
		l := startLoop(client.Subscribe(t.Context(), WithStore(store), OnError(func(err error) { problems = append(problems, err) })), false)
		// It never starts without its positions.
		stream := <-fake.streams
		if store.loadFails != 0 {
			t.Error("the subscription started without its positions")
		}
		stream.send(t, helloOf(&Hello{}), caughtUp())
		for seq := range uint64(3) {
			stream.send(t, messageOf("a", at("user", 1, 1+seq)))
			time.Sleep(time.Second)
		}
		if got := store.text(); !strings.Contains(got, `"seq":"3"`) || len(problems) != 2 {
			t.Errorf("saved %s, reported %v", got, problems)
		}
		l.subscription.Close()
		<-l.done
	})
}

func TestSubscriptionSavesManyChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		store := &memoryStore{}
		l := startLoop(client.Subscribe(t.Context(), WithStore(store)), false)
		stream := <-fake.streams
		stream.send(t, helloOf(&Hello{}))
		for seq := range uint64(1000) {
			stream.send(t, messageOf("a", at("user", 1, 1+seq)))
			time.Sleep(time.Millisecond)
		}
		l.subscription.Close()
		<-l.done
		if store.saves > 6 {
			t.Errorf("1,000 messages within 1 s were saved %d times", store.saves)
		}
	})
}

func TestFileStoreReplacesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions.json")
	store := FileStore(path)
	if data, err := store.Load(t.Context()); len(data) != 0 || err != nil {
		t.Errorf("without a file, Load returns %q, %v", data, err)
	}
	for _, want := range []string{"[1]", "[]"} {
		if err := store.Save(t.Context(), []byte(want)); err != nil {
			t.Fatal(err)
		}
		if data, err := store.Load(t.Context()); string(data) != want || err != nil {
			t.Errorf("Load returns %q, %v", data, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 1 || err != nil {
		t.Errorf("the folder has %v, %v", entries, err)
	}
	if err := FileStore(filepath.Join(path, "no folder")).Save(t.Context(), nil); err == nil {
		t.Error("Save in a folder that does not exist returns no error")
	}
}

package tidings

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Store keeps the positions of a subscription between runs of a program. Use one store for each user, since positions in
// the feeds of one user mean nothing in those of another. The data is at most 40 KB of JSON. Both methods must return soon
// after their context has ended.
type Store interface {
	// Load returns the data that Save was given last; nothing if there is none. After an error, the subscription tries
	// again later: it never starts without its positions.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the data. Its calls do not overlap.
	Save(ctx context.Context, data []byte) error
}

// FileStore returns a store in a file, which it replaces as a whole.
func FileStore(path string) Store {
	return fileStore{path}
}

type fileStore struct {
	path string
}

func (f fileStore) Load(context.Context) ([]byte, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (f fileStore) Save(_ context.Context, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	// Without the sync, a crash of the machine may leave an empty file under the new name.
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

const (
	// saveDelay is the delay of a save, so that the changes of that time are one write.
	saveDelay = 250 * time.Millisecond
	// storeTimeout is the deadline of a method of the store.
	storeTimeout = 30 * time.Second
)

// startSaver starts to save the consumed positions. The function that it returns saves the last ones and waits for the end.
func (s *Subscription) startSaver() (stop func()) {
	if s.config.store == nil {
		return func() {}
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		saver := saver{subscription: s, saved: formatPositions(nil)}
		for {
			select {
			case <-s.changed:
			case <-stopping:
				saver.save()
				return
			}
			timer := time.NewTimer(saveDelay)
			select {
			case <-timer.C:
			case <-stopping:
				timer.Stop()
			}
			saver.save()
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}

type saver struct {
	subscription *Subscription
	// saved is the data in the store. Before the first save that of no positions, so that an early end does not erase it.
	saved   []byte
	failing bool
}

func (w *saver) save() {
	s := w.subscription
	s.mu.Lock()
	list := s.consumed.list(s.rooms.follows)
	s.mu.Unlock()
	data := formatPositions(list)
	if bytes.Equal(data, w.saved) {
		return
	}
	// The last save comes after the end of the context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), storeTimeout)
	defer cancel()
	if err := s.config.store.Save(ctx, data); err != nil {
		// The content of the store is unknown, so the next change writes again.
		w.saved = nil
		if !w.failing {
			s.report("tidings: positions are not saved", err)
		}
		w.failing = true
		return
	}
	w.saved, w.failing = data, false
}

// report logs an error and passes it to OnError.
func (s *Subscription) report(message string, err error) {
	s.client.config.logger.WarnContext(s.ctx, message, "error", err)
	if s.config.onError != nil {
		s.callback(func() { s.config.onError(err) })
	}
}

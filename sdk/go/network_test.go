package tidings

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1/tidingsv1connect"
)

// newNetworkFake returns a server that listens, over TLS or not, and a client of it with the transport of NewClient.
func newNetworkFake(secure bool) (fake *fakeServer, client *Client, stop func()) {
	fake = &fakeServer{streams: make(chan *fakeStream)}
	fake.publish = func(context.Context, *PublishRequest) (*PublishResponse, error) { return &PublishResponse{}, nil }
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPushServiceHandler(fake))
	server := httptest.NewUnstartedServer(withProto(mux))
	server.EnableHTTP2 = true
	transport := newTransport()
	if secure {
		server.StartTLS()
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	} else {
		server.Start()
	}
	client = NewClient(server.URL, StaticToken("t"), WithLogger(slog.New(slog.DiscardHandler)),
		WithHTTPClient(&http.Client{Transport: transport}))
	return fake, client, func() {
		client.Close()
		transport.CloseIdleConnections()
		server.Close()
	}
}

func TestClientLeavesNoGoroutines(t *testing.T) {
	for name, secure := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			fake, client, stop := newNetworkFake(secure)
			for range 5 {
				l := startLoop(client.Subscribe(t.Context()), false)
				stream := <-fake.streams
				for _, event := range []*subscribeResponse{helloOf(&Hello{}), caughtUp(), messageOf("a", at("user", 1, 1))} {
					stream.events <- event
				}
				for len(l.titles()) == 0 {
					runtime.Gosched()
				}
				if _, err := client.Publish(t.Context(), notify("a")); err != nil {
					t.Error(err)
				}
				if stream.proto != name {
					t.Errorf("the stream is over %s", stream.proto)
				}
				l.subscription.Close()
				if err := l.wait(); err != nil {
					t.Error(err)
				}
				<-stream.ctx.Done()
			}
			stop()
			// The goroutines of closed connections end soon.
			for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<20)
					stacks = stacks[:runtime.Stack(stacks, true)]
					t.Fatalf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), stacks)
				}
			}
		})
	}
}

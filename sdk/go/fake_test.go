package tidings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1/tidingsv1connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A fakeServer is a server whose answers a test gives.
type fakeServer struct {
	tidingsv1connect.UnimplementedPushServiceHandler
	tidingsv1connect.UnimplementedAdminServiceHandler
	// streams gets each stream that is opened.
	streams chan *fakeStream
	publish func(context.Context, *PublishRequest) (*PublishResponse, error)
	batch   func(*tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error)
	mark    func(*MarkReadRequest) (*MarkReadResponse, error)
	list    func(*ListUnreadRequest) (*tidingsv1.ListUnreadResponse, error)
	// plain answers instead of the service, if it is set and returns true.
	plain func(http.ResponseWriter, *http.Request) bool
}

func (f *fakeServer) Publish(ctx context.Context, request *connect.Request[PublishRequest]) (*connect.Response[PublishResponse], error) {
	response, err := f.publish(ctx, request.Msg)
	return connect.NewResponse(response), err
}

func (f *fakeServer) PublishBatch(_ context.Context, request *connect.Request[tidingsv1.PublishBatchRequest]) (*connect.Response[tidingsv1.PublishBatchResponse], error) {
	response, err := f.batch(request.Msg)
	return connect.NewResponse(response), err
}

func (f *fakeServer) MarkRead(_ context.Context, request *connect.Request[MarkReadRequest]) (*connect.Response[MarkReadResponse], error) {
	response, err := f.mark(request.Msg)
	return connect.NewResponse(response), err
}

func (f *fakeServer) ListUnread(_ context.Context, request *connect.Request[ListUnreadRequest]) (*connect.Response[tidingsv1.ListUnreadResponse], error) {
	response, err := f.list(request.Msg)
	return connect.NewResponse(response), err
}

func (f *fakeServer) Subscribe(ctx context.Context, request *connect.Request[subscribeRequest], stream *connect.ServerStream[subscribeResponse]) error {
	fake := &fakeStream{
		request: request.Msg,
		token:   request.Header().Get("Authorization"),
		events:  make(chan *subscribeResponse),
		end:     make(chan error),
		ctx:     ctx,
		at:      time.Now(),
		proto:   fmt.Sprint(ctx.Value(protoKey{})),
	}
	select {
	case f.streams <- fake:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		select {
		case event := <-fake.events:
			if err := stream.Send(event); err != nil {
				return err
			}
		case err := <-fake.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A fakeStream is one stream of a fakeServer.
type fakeStream struct {
	request *subscribeRequest
	token   string
	events  chan *subscribeResponse
	end     chan error
	// ctx ends when the client has dropped the stream.
	ctx context.Context
	at  time.Time
	// proto is the version of HTTP.
	proto string
}

type protoKey struct{}

// withProto keeps the version of HTTP for the streams.
func withProto(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), protoKey{}, r.Proto)))
	})
}

// send sends events, and returns when the client has taken them.
func (f *fakeStream) send(t *testing.T, events ...*subscribeResponse) {
	t.Helper()
	for _, event := range events {
		select {
		case f.events <- event:
		case <-f.ctx.Done():
			t.Fatalf("the stream was dropped before %v", event)
		}
	}
	synctest.Wait()
}

func helloOf(hello *Hello) *subscribeResponse {
	if hello.GetHeartbeatInterval() == nil {
		hello.HeartbeatInterval = durationpb.New(25 * time.Second)
	}
	return &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Hello{Hello: hello}}
}

func caughtUp(list ...*Position) *subscribeResponse {
	return &subscribeResponse{Event: &tidingsv1.SubscribeResponse_CaughtUp{CaughtUp: &CaughtUp{Positions: list}}}
}

func heartbeat(list ...*Position) *subscribeResponse {
	return &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Heartbeat{Heartbeat: &tidingsv1.Heartbeat{Positions: list}}}
}

func messageOf(title string, position *Position) *subscribeResponse {
	message := &Message{Title: title, Kind: KindNotification, Category: "c", Position: position}
	return &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Message{Message: message}}
}

func roomOf(room string, status tidingsv1.RoomState_Status, code string) *subscribeResponse {
	state := &RoomState{RoomId: room, Status: status, Code: code}
	return &subscribeResponse{Event: &tidingsv1.SubscribeResponse_Room{Room: state}}
}

// refusal returns an error of a Tidings server.
func refusal(code connect.Code, reason string, details ...proto.Message) *connect.Error {
	err := connect.NewError(code, errors.New("a sentence"))
	info := &errdetails.ErrorInfo{Domain: "tidings", Reason: reason, Metadata: map[string]string{"field": "message.url"}}
	for _, message := range append(details, info) {
		detail, detailErr := connect.NewErrorDetail(message)
		if detailErr != nil {
			panic(detailErr)
		}
		err.AddDetail(detail)
	}
	return err
}

func retryIn(delay time.Duration) proto.Message {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}

// A memoryClient calls a handler without a network, so that a test may run in fake time.
type memoryClient struct {
	handler http.Handler
}

func (m memoryClient) Do(request *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	answer := &memoryWriter{header: http.Header{}, body: writer, started: make(chan struct{})}
	served := request.Clone(request.Context())
	served.RequestURI = request.URL.RequestURI()
	stop := context.AfterFunc(request.Context(), func() { _ = writer.CloseWithError(request.Context().Err()) })
	go func() {
		defer stop()
		m.handler.ServeHTTP(answer, served)
		answer.WriteHeader(http.StatusOK)
		_ = writer.Close()
		_ = request.Body.Close()
	}()
	select {
	case <-answer.started:
	case <-request.Context().Done():
		return nil, request.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.sent, Body: reader, ContentLength: -1, Request: request,
	}, nil
}

type memoryWriter struct {
	header, sent http.Header
	body         *io.PipeWriter
	status       int
	once         sync.Once
	started      chan struct{}
}

func (w *memoryWriter) Header() http.Header { return w.header }
func (w *memoryWriter) Flush()              {}
func (w *memoryWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *memoryWriter) Write(data []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(data)
}

// newFake returns a server and a client of it, whose jitter is the middle of its range.
func newFake(t *testing.T, token TokenFunc, options ...ClientOption) (*fakeServer, *Client) {
	fake := &fakeServer{streams: make(chan *fakeStream)}
	mux := http.NewServeMux()
	mux.Handle(tidingsv1connect.NewPushServiceHandler(fake))
	mux.Handle(tidingsv1connect.NewAdminServiceHandler(fake))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fake.plain == nil || !fake.plain(w, r) {
			mux.ServeHTTP(w, r)
		}
	})
	if token == nil {
		token = StaticToken("a-token")
	}
	options = append([]ClientOption{
		WithHTTPClient(memoryClient{handler}), WithLogger(slog.New(slog.DiscardHandler)),
		func(config *clientConfig) { config.fraction = half },
	}, options...)
	client := NewClient("http://tidings.test/", token, options...)
	t.Cleanup(client.Close)
	return fake, client
}

// A loop is a loop over a subscription in a goroutine of its own.
type loop struct {
	subscription *Subscription
	// more lets the loop ask for the next event; leave ends it early.
	more  chan struct{}
	leave chan struct{}

	mu     sync.Mutex
	events []Event
	err    error
	done   chan struct{}
}

// startLoop starts a loop. With stepwise, it waits for more after each event.
func startLoop(s *Subscription, stepwise bool) *loop {
	l := &loop{subscription: s, more: make(chan struct{}), leave: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for event, err := range s.Events() {
			l.mu.Lock()
			if err != nil {
				l.err = err
			} else {
				l.events = append(l.events, event)
			}
			l.mu.Unlock()
			if !stepwise || err != nil {
				continue
			}
			select {
			case <-l.more:
			case <-l.leave:
				return
			}
		}
	}()
	return l
}

// titles returns the titles of the messages so far.
func (l *loop) titles() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	titles := []string{}
	for _, event := range l.events {
		if message, ok := event.(*Message); ok {
			titles = append(titles, message.GetTitle())
		}
	}
	return titles
}

// wait waits for the end of the loop and returns its error.
func (l *loop) wait() error {
	<-l.done
	return l.err
}

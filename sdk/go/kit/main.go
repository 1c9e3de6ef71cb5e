// Kit is the program with which `tidings test-client` judges the Go SDK: it takes commands from stdin, one JSON object a
// line, and prints what its application gets. docs/clients.md describes both. Its argument is the protocol: connect, over
// HTTP/1.1 (the default), h2c for Connect over HTTP/2, or grpc.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"

	"connectrpc.com/connect"
	"github.com/tidings-dev/tidings/sdk/go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxLine is the longest command, in bytes: a batch of 1,000 messages fits.
const maxLine = 64 << 20

// A line is an object of the protocol.
type line map[string]any

// A command is a line of stdin, with the fields of all commands.
type command struct {
	Type     string            `json:"type"`
	ID       string            `json:"id"`
	RoomID   string            `json:"roomId"`
	Request  json.RawMessage   `json:"request"`
	Requests []json.RawMessage `json:"requests"`
	// The fields of subscribe and join.
	Rooms       []room   `json:"rooms"`
	Mode        string   `json:"mode"`
	Kinds       []string `json:"kinds"`
	Categories  []string `json:"categories"`
	Events      []string `json:"events"`
	OnlineCount bool     `json:"onlineCount"`
	InstanceID  string   `json:"instanceId"`
}

type room struct {
	RoomID string `json:"roomId"`
	Mode   string `json:"mode"`
}

var modes = map[string]tidings.RoomMode{
	"":      tidings.RoomModeAny,
	"ANY":   tidings.RoomModeAny,
	"FIRST": tidings.RoomModeFirst,
	"LAST":  tidings.RoomModeLast,
}

// protocols are the options of the protocols other than the default.
var protocols = map[string][]tidings.ClientOption{
	"h2c":  {withHTTP2()},
	"grpc": {withHTTP2(), tidings.WithConnectOptions(connect.WithGRPC())},
}

// withHTTP2 returns the option for HTTP/2 without TLS.
func withHTTP2() tidings.ClientOption {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	return tidings.WithHTTPClient(&http.Client{Transport: transport})
}

// A program is the state of one run.
type program struct {
	client       *tidings.Client
	subscription *tidings.Subscription
	running      sync.WaitGroup
	printing     sync.Mutex
}

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	options := []tidings.ClientOption{tidings.WithLogger(logger)}
	if len(os.Args) > 1 {
		options = append(options, protocols[os.Args[1]]...)
	}
	p := program{client: tidings.NewClient(os.Getenv("TIDINGS_URL"), fetchToken, options...)}
	if err := p.read(os.Stdin); err != nil {
		logger.Error("stdin", "error", err)
		os.Exit(1)
	}
	p.client.Close()
	p.running.Wait()
}

// fetchToken is the token function: it fetches a token from the kit.
func fetchToken(ctx context.Context, refresh bool) (string, error) {
	url := os.Getenv("TIDINGS_TOKEN_URL")
	if refresh {
		url += "?refresh=1"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	token, err := io.ReadAll(response.Body)
	return string(token), err
}

// read carries out the commands, until close or the end of the input.
func (p *program) read(input io.Reader) error {
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		if c.Type == "close" {
			return nil
		}
		if err := p.run(c); err != nil {
			return fmt.Errorf("%s: %w", c.Type, err)
		}
	}
	return lines.Err()
}

// run carries out one command: what takes time, in a goroutine.
func (p *program) run(c command) error {
	ctx := context.Background()
	switch c.Type {
	case "subscribe":
		return p.subscribe(ctx, c)
	case "join":
		return p.subscription.Join(c.RoomID, modes[c.Mode])
	case "leave":
		p.subscription.Leave(c.RoomID)
	case "publish":
		request := &tidings.PublishRequest{}
		if err := protojson.Unmarshal(c.Request, request); err != nil {
			return err
		}
		p.running.Go(func() {
			response, err := p.client.Publish(ctx, request)
			p.answer(c.ID, err, line{
				"type": "published", "messageId": response.GetMessageId(), "duplicate": response.GetDuplicate(),
			})
		})
	case "publishBatch":
		requests := make([]*tidings.PublishRequest, len(c.Requests))
		for i, text := range c.Requests {
			requests[i] = &tidings.PublishRequest{}
			if err := protojson.Unmarshal(text, requests[i]); err != nil {
				return err
			}
		}
		p.running.Go(func() { p.publishBatch(ctx, c.ID, requests) })
	case "listUnread":
		request := &tidings.ListUnreadRequest{}
		if err := unmarshal(c.Request, request); err != nil {
			return err
		}
		p.running.Go(func() {
			for message, err := range p.client.ListUnread(ctx, request) {
				if err != nil {
					p.answer(c.ID, err, nil)
					return
				}
				p.print(line{"type": "listed", "id": c.ID, "messageId": message.GetId()})
			}
			p.print(line{"type": "listEnd", "id": c.ID})
		})
	case "markRead":
		request := &tidings.MarkReadRequest{}
		if err := unmarshal(c.Request, request); err != nil {
			return err
		}
		p.running.Go(func() {
			response, err := p.client.MarkRead(ctx, request)
			p.answer(c.ID, err, line{"type": "markedRead", "changed": response.GetChanged()})
		})
	default:
		p.print(line{"type": "unsupported", "command": c.Type})
	}
	return nil
}

// unmarshal reads a request, whose absence means an empty one.
func unmarshal(text json.RawMessage, request proto.Message) error {
	if len(text) == 0 {
		return nil
	}
	return protojson.Unmarshal(text, request)
}

func (p *program) publishBatch(ctx context.Context, id string, requests []*tidings.PublishRequest) {
	each := func(yield func(*tidings.PublishRequest) bool) {
		for _, request := range requests {
			if !yield(request) {
				return
			}
		}
	}
	for outcome, err := range p.client.PublishBatch(ctx, each) {
		if err != nil {
			p.answer(id, err, nil)
			return
		}
		printed := line{"type": "outcome", "id": id, "index": outcome.Index}
		if outcome.Err != nil {
			printed["error"] = errorLine(outcome.Err)
		} else {
			printed["messageId"] = outcome.Response.GetMessageId()
		}
		p.print(printed)
	}
}

func (p *program) subscribe(ctx context.Context, c command) error {
	options := []tidings.SubscribeOption{
		tidings.WithCategories(c.Categories...),
		tidings.WithEvents(c.Events...),
		tidings.OnState(func(state tidings.State) { p.print(line{"type": "state", "state": state}) }),
		tidings.OnUnread(func(totals *tidings.UnreadTotals) {
			p.print(line{"type": "unread", "total": totals.GetTotal(), "byCategory": totals.GetByCategory()})
		}),
		tidings.OnError(func(err error) { p.failed("", err, false) }),
	}
	for _, kind := range c.Kinds {
		values := tidings.KindNotification.Descriptor().Values()
		value := values.ByName(protoreflect.Name(kind))
		if value == nil {
			return fmt.Errorf("unknown kind %s", kind)
		}
		options = append(options, tidings.WithKinds(tidings.Kind(value.Number())))
	}
	for _, room := range c.Rooms {
		options = append(options, tidings.WithRoom(room.RoomID, modes[room.Mode]))
	}
	if c.OnlineCount {
		options = append(options, tidings.WithOnlineCount())
	}
	if c.InstanceID != "" {
		options = append(options, tidings.WithInstanceID(c.InstanceID))
	}
	p.subscription = p.client.Subscribe(ctx, options...)
	p.running.Go(func() {
		for event, err := range p.subscription.Events() {
			if err != nil {
				p.failed("", err, true)
				return
			}
			if err := p.event(event); err != nil {
				p.failed("", err, true)
				return
			}
		}
	})
	return nil
}

// event prints an event of the subscription.
func (p *program) event(event tidings.Event) error {
	switch event := event.(type) {
	case *tidings.Message:
		text, err := protojson.Marshal(event)
		if err != nil {
			return err
		}
		p.print(line{"type": "message", "message": json.RawMessage(text)})
	case *tidings.ReadState:
		p.print(line{"type": "readState"})
	case *tidings.CaughtUp:
		p.print(line{"type": "caughtUp"})
	case *tidings.Gap:
		p.print(line{
			"type": "gap",
			"feed": event.GetTo().GetFeed(), "after": seq(event.GetAfter()), "to": seq(event.GetTo()),
		})
	case *tidings.Reset:
		p.print(line{"type": "reset", "reason": event.Reason})
	case *tidings.RoomState:
		status := map[bool]string{
			event.GetStatus() == tidings.RoomJoined:  "JOINED",
			event.GetStatus() == tidings.RoomRefused: "REFUSED",
			event.GetStatus() == tidings.RoomKicked:  "KICKED",
		}[true]
		p.print(line{"type": "room", "roomId": event.GetRoomId(), "status": status, "reason": event.GetReason()})
	}
	return nil
}

func seq(position *tidings.Position) string {
	return strconv.FormatUint(position.GetSeq(), 10)
}

// answer prints the answer to a command, or its error.
func (p *program) answer(id string, err error, printed line) {
	if err != nil {
		p.failed(id, err, true)
		return
	}
	printed["id"] = id
	p.print(printed)
}

// failed prints an error: of a command, or, without an id, of the subscription.
func (p *program) failed(id string, err error, final bool) {
	printed := errorLine(tidings.ReadError(err))
	printed["type"], printed["final"] = "error", final
	if id != "" {
		printed["id"] = id
	}
	p.print(printed)
}

func errorLine(err *tidings.Error) line {
	return line{
		"code": err.Code.String(), "reason": err.Reason, "field": err.Field, "retryAfterMs": err.RetryAfter.Milliseconds(),
	}
}

func (p *program) print(printed line) {
	text, err := json.Marshal(printed)
	if err != nil {
		panic(err)
	}
	p.printing.Lock()
	defer p.printing.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

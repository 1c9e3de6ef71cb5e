package tidings

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"time"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"google.golang.org/protobuf/proto"
)

// attemptTimeout is the deadline of one attempt of a call, so that a server that went silent does not use up the deadline
// of the call.
const attemptTimeout = 10 * time.Second

// retryLogInterval is the shortest time between two log lines about calls that are retried.
const retryLogInterval = time.Minute

// Publish publishes a message, and returns when it is durable. The request is not changed: if it has no request_id, what
// is sent has a random one, which every retry keeps, so the message is published once however often the connection fails.
// To publish once across restarts of the program, set request_id.
//
// Publish retries until the deadline of the context, or for 30 s if it has none, and returns an [*Error].
func (c *Client) Publish(ctx context.Context, request *PublishRequest) (*PublishResponse, error) {
	return call(ctx, c, withRequestID(request), c.push.Publish, true)
}

// MarkRead marks messages of the caller's inbox as read, or as unread again. It retries as Publish does, but not a target
// of the oldest messages, which would be other ones in a second attempt.
func (c *Client) MarkRead(ctx context.Context, request *MarkReadRequest) (*MarkReadResponse, error) {
	_, oldest := request.GetTarget().(*tidingsv1.MarkReadRequest_Oldest)
	response, err := call(ctx, c, request, c.push.MarkRead, !oldest)
	c.answer(response.GetUnread())
	return response, err
}

// DeleteMessages deletes messages from the caller's inbox or, for a service, recalls them from every inbox. It retries as
// Publish does.
func (c *Client) DeleteMessages(ctx context.Context, request *DeleteMessagesRequest) (*DeleteMessagesResponse, error) {
	response, err := call(ctx, c, request, c.push.DeleteMessages, true)
	c.answer(response.GetUnread())
	return response, err
}

// OnlineCount counts online users: of the tenant, of a list of users, or in a room. It retries as Publish does.
func (c *Client) OnlineCount(ctx context.Context, request *OnlineCountRequest) (*OnlineCountResponse, error) {
	return call(ctx, c, request, c.push.OnlineCount, true)
}

// Disconnect ends the streams of a user, and blocks the user if the request says so. It retries as Publish does.
func (c *Client) Disconnect(ctx context.Context, request *DisconnectRequest) (*DisconnectResponse, error) {
	return call(ctx, c, request, c.admin.Disconnect, true)
}

// ListUnread returns the caller's unread messages, newest first. The iterator reads page after page, each with retries as
// those of Publish, and ends after the first error. A nil request has no filters.
func (c *Client) ListUnread(ctx context.Context, request *ListUnreadRequest) iter.Seq2[*Message, error] {
	return pages(request, func(request *ListUnreadRequest, token string) ([]*Message, string, error) {
		request.PageToken = token
		response, err := call(ctx, c, request, c.push.ListUnread, true)
		c.answer(response.GetUnread())
		return response.GetMessages(), response.GetNextPageToken(), err
	})
}

// ListMessages returns stored messages, read or not, newest first: a user's own history, or a tenant's broadcasts and
// activities for a service. It iterates as ListUnread does.
func (c *Client) ListMessages(ctx context.Context, request *ListMessagesRequest) iter.Seq2[*Message, error] {
	return pages(request, func(request *ListMessagesRequest, token string) ([]*Message, string, error) {
		request.PageToken = token
		response, err := call(ctx, c, request, c.push.ListMessages, true)
		return response.GetMessages(), response.GetNextPageToken(), err
	})
}

// pages iterates over all pages of a list, from the page_token of the request. Only an empty next_page_token ends a list:
// a page may be short, or empty.
func pages[Q interface {
	proto.Message
	GetPageToken() string
}](request Q, page func(Q, string) ([]*Message, string, error)) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		token := request.GetPageToken()
		// Also a nil request has a copy, to which the tokens of the pages can be added.
		filters := request
		request := request.ProtoReflect().New().Interface().(Q)
		proto.Merge(request, filters)
		for {
			messages, next, err := page(request, token)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, message := range messages {
				if !yield(message, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// withRequestID returns the request itself if it has a request_id, or else a copy with a random one. A request that replaces a
// message has to name it, so that one is left as it is, for the server to refuse.
func withRequestID(request *PublishRequest) *PublishRequest {
	if request.GetRequestId() != "" || request.GetReplace() {
		return request
	}
	request = proto.CloneOf(request)
	if request == nil {
		request = &PublishRequest{}
	}
	request.RequestId = newUUID()
	return request
}

// newUUID returns a random UUID, of version 4 (RFC 9562).
func newUUID() string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// A method is a unary method of a generated client.
type method[Q, R any] func(context.Context, *connect.Request[Q]) (*connect.Response[R], error)

// call makes a call with the token in use. A refused token is replaced once, at once. An idempotent call is retried until
// its deadline.
func call[Q, R any](ctx context.Context, c *Client, message *Q, send method[Q, R], idempotent bool) (*R, error) {
	if c.err != nil {
		return nil, c.err
	}
	if message == nil {
		message = new(Q)
	}
	ctx, cancel := c.callContext(ctx)
	defer cancel()
	var last *Error
	refreshed := false
	for failures := 0; ; {
		response, err := once(ctx, c, message, send, idempotent)
		if err == nil {
			return response, nil
		}
		if ctx.Err() != nil {
			return nil, ended(ctx, last)
		}
		if err.Code == connect.CodeUnauthenticated && !err.final && !refreshed {
			refreshed = true
			continue
		}
		if !idempotent || !err.retryable() {
			return nil, err
		}
		if cause := encodingError(message); cause != nil {
			return nil, cause
		}
		delay := holdDelay(min(err.RetryAfter, longestHold), failures, c.config.fraction())
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
			return nil, err
		}
		c.logRetry(ctx, err)
		last = err
		failures = min(failures+1, maxFailures)
		if !sleep(ctx, delay) {
			return nil, ended(ctx, last)
		}
	}
}

// logRetry logs that a call is retried, at most once a minute: with the server, all calls fail at once.
func (c *Client) logRetry(ctx context.Context, err *Error) {
	c.mu.Lock()
	now := time.Now()
	due := c.retryLogged.IsZero() || now.Sub(c.retryLogged) >= retryLogInterval
	if due {
		c.retryLogged = now
	}
	c.mu.Unlock()
	if due {
		c.config.logger.WarnContext(ctx, "tidings: calls are retried", "error", err)
	}
}

// once makes one attempt of a call.
func once[Q, R any](ctx context.Context, c *Client, message *Q, send method[Q, R], idempotent bool) (*R, *Error) {
	token, err := c.tokens.get(ctx)
	if err != nil {
		return nil, ReadError(err)
	}
	if idempotent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
	}
	request := connect.NewRequest(message)
	request.Header().Set("Authorization", "Bearer "+token)
	response, err := send(ctx, request)
	if err != nil {
		read := ReadError(err)
		if read.Code == connect.CodeUnauthenticated {
			c.tokens.refuse(token)
		}
		return nil, read
	}
	return response.Msg, nil
}

// callContext returns the context of a call: it ends with the client, and has a deadline.
func (c *Client) callContext(ctx context.Context) (context.Context, context.CancelFunc) {
	_, hasDeadline := ctx.Deadline()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(errClosed) })
	done := func() {
		stop()
		cancel(nil)
	}
	if hasDeadline {
		return ctx, done
	}
	ctx, cancelTimeout := context.WithTimeout(ctx, c.config.timeout)
	return ctx, func() {
		cancelTimeout()
		done()
	}
}

// errClosed is the cause of calls that Close ends.
var errClosed = &Error{Code: connect.CodeCanceled, Message: "the client is closed"}

// ended returns the error of a call whose context has ended: the last one of the server, which says more than the
// deadline, or else that of the context.
func ended(ctx context.Context, last *Error) error {
	cause := context.Cause(ctx)
	read := ReadError(cause)
	if read.Code == connect.CodeDeadlineExceeded && last != nil {
		return last
	}
	return read
}

// encodingError returns the error of a message that Protobuf cannot encode, because a string of it is not UTF-8. Connect
// reports it with a code of the server.
func encodingError(message any) error {
	if _, err := proto.Marshal(message.(proto.Message)); err != nil {
		return &Error{Code: connect.CodeInvalidArgument, Message: err.Error(), cause: err}
	}
	return nil
}

// sleep waits, and reports whether the context is still alive.
func sleep(ctx context.Context, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

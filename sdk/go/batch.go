package tidings

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxBatch is the limit of PublishBatchRequest.
	maxBatch = 1_000
	// maxBatchBytes is the size of a batch at which it is sent.
	maxBatchBytes = 1 << 20
)

// An Outcome is the outcome of one request of PublishBatch.
type Outcome struct {
	// Index is the index of the request, from 0.
	Index int
	// Request is the request as it was sent, with its request_id.
	Request *PublishRequest
	// Response is set if the message is stored.
	Response *PublishResponse
	// Err is set if the request was refused, and changed nothing. Its Field is empty; its Message names the field.
	Err *Error
}

// PublishBatch publishes any number of messages, and yields an outcome for each, in the order of the requests. It reads up
// to 1,000 requests, or about 1 MiB, sends them as one call, and yields their outcomes before it reads the next ones; so
// requests may come from a source without end, and memory stays small.
//
// Each call retries as Publish does, and requests that fail for a while are repeated within it with their request ids. An
// error that is not one of a single request is yielded with a zero Outcome, and ends the iteration: of the requests
// without an outcome, at most one batch may be stored.
func (c *Client) PublishBatch(ctx context.Context, requests iter.Seq[*PublishRequest]) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		first, bytes := 0, 0
		var batch []*PublishRequest
		flush := func() bool {
			outcomes, err := c.publishAll(ctx, batch)
			for i, outcome := range outcomes {
				outcome.Index = first + i
				if !yield(outcome, nil) {
					return false
				}
			}
			if err != nil {
				yield(Outcome{}, err)
				return false
			}
			first += len(batch)
			batch, bytes = nil, 0
			return true
		}
		for request := range requests {
			request = withRequestID(request)
			size := proto.Size(request)
			if len(batch) == maxBatch || len(batch) > 0 && bytes+size > maxBatchBytes {
				if !flush() {
					return
				}
			}
			batch = append(batch, request)
			bytes += size
		}
		if len(batch) > 0 {
			flush()
		}
	}
}

// publishAll publishes one batch, and returns an outcome for each request, or those before the error. A batch with too
// many entries for the server is sent as two.
func (c *Client) publishAll(ctx context.Context, batch []*PublishRequest) ([]Outcome, error) {
	outcomes, err := c.publishOnce(ctx, batch)
	if err == nil || len(batch) == 1 || ReadError(err).Reason != "REQUEST_TOO_LARGE" {
		return outcomes, err
	}
	outcomes, err = c.publishAll(ctx, batch[:len(batch)/2])
	if err != nil {
		return outcomes, err
	}
	rest, err := c.publishAll(ctx, batch[len(batch)/2:])
	return append(outcomes, rest...), err
}

// publishOnce publishes a batch, and repeats the requests that failed for a while until the deadline of one call.
func (c *Client) publishOnce(ctx context.Context, batch []*PublishRequest) ([]Outcome, error) {
	ctx, cancel := c.callContext(ctx)
	defer cancel()
	outcomes := make([]Outcome, len(batch))
	pending := make([]int, len(batch))
	for i, request := range batch {
		outcomes[i].Request = request
		pending[i] = i
	}
	for failures := 0; ; failures = min(failures+1, maxFailures) {
		message := &tidingsv1.PublishBatchRequest{}
		for _, i := range pending {
			message.Requests = append(message.Requests, batch[i])
		}
		response, err := call(ctx, c, message, c.push.PublishBatch, true)
		if err != nil {
			if failures > 0 {
				// The outcomes of the attempt before are known.
				return outcomes, nil
			}
			return nil, err
		}
		if len(response.GetOutcomes()) != len(pending) {
			return nil, &Error{Code: connect.CodeInternal, Message: "the answer does not have one outcome for each request"}
		}
		var again []int
		for i, outcome := range response.GetOutcomes() {
			at := &outcomes[pending[i]]
			at.Response, at.Err = outcome.GetOk(), nil
			if refusal := outcome.GetError(); refusal != nil {
				at.Response, at.Err = nil, batchError(refusal, i)
				if isTransient(at.Err.Code, at.Err.Reason) {
					again = append(again, pending[i])
				}
			}
		}
		if len(again) == 0 || !sleep(ctx, backoff(failures, c.config.fraction())) {
			return outcomes, nil
		}
		pending = again
	}
}

// batchError returns the error of the outcome at an index of an answer. The server's sentence names the field from the
// whole call on, as requests[3].message.url, but the index in a call is not the Index of an Outcome, so it is left out.
func batchError(refusal *tidingsv1.PublishError, index int) *Error {
	code := connect.CodeUnknown
	// Keeps the code where a newer server has another one.
	_ = code.UnmarshalText([]byte(refusal.GetCode()))
	message := strings.TrimPrefix(refusal.GetMessage(), fmt.Sprintf("requests[%d].", index))
	return &Error{Code: code, Reason: refusal.GetReason(), Message: message}
}

package tidings

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
)

// numbered returns n requests, and counts those that were taken.
func numbered(n int, size int, taken *int) iter.Seq[*PublishRequest] {
	return func(yield func(*PublishRequest) bool) {
		for i := range n {
			*taken = i + 1
			request := notify(fmt.Sprint(i))
			request.Message.Content = strings.Repeat("x", size)
			if !yield(request) {
				return
			}
		}
	}
}

// stored answers a batch: every message is stored.
func stored(request *tidingsv1.PublishBatchRequest) *tidingsv1.PublishBatchResponse {
	response := &tidingsv1.PublishBatchResponse{}
	for _, each := range request.GetRequests() {
		ok := &PublishResponse{MessageId: "m-" + each.GetMessage().GetTitle()}
		response.Outcomes = append(response.Outcomes, &tidingsv1.PublishOutcome{Result: &tidingsv1.PublishOutcome_Ok{Ok: ok}})
	}
	return response
}

func refused(code, reason, message string) *tidingsv1.PublishOutcome {
	return &tidingsv1.PublishOutcome{Result: &tidingsv1.PublishOutcome_Error{
		Error: &tidingsv1.PublishError{Code: code, Reason: reason, Message: message},
	}}
}

func TestPublishBatchNamesAFieldFromItsRequestOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		taken := 0
		fake.batch = func(request *tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error) {
			response := stored(request)
			if len(request.GetRequests()) < maxBatch {
				message := "requests[1].message.url: must be an https, http or relative URL"
				response.Outcomes[1] = refused("invalid_argument", "FIELD_INVALID", message)
			}
			return response, nil
		}
		for outcome, err := range client.PublishBatch(t.Context(), numbered(maxBatch+2, 0, &taken)) {
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Index == maxBatch+1 {
				equal(t, []string{outcome.Err.Message}, []string{"message.url: must be an https, http or relative URL"})
			} else if outcome.Err != nil {
				t.Errorf("outcome %d: %v", outcome.Index, outcome.Err)
			}
		}
	})
}

func TestPublishBatchCutsAtAThousandRequestsAndOneMebibyte(t *testing.T) {
	for _, c := range []struct {
		count, size int
		want        []int
	}{
		{2500, 0, []int{1000, 1000, 500}},
		{35, 60_000, []int{17, 17, 1}},
		{0, 0, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake, client := newFake(t, nil)
			var sizes []int
			taken := 0
			fake.batch = func(request *tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error) {
				sizes = append(sizes, len(request.GetRequests()))
				return stored(request), nil
			}
			index := 0
			for outcome, err := range client.PublishBatch(t.Context(), numbered(c.count, c.size, &taken)) {
				want := fmt.Sprint("m-", index)
				if err != nil || outcome.Index != index || outcome.Response.GetMessageId() != want || outcome.Request.GetRequestId() == "" {
					t.Fatalf("outcome %d is %v, %v", index, outcome, err)
				}
				index++
			}
			if index != c.count || !slices.Equal(sizes, c.want) {
				t.Errorf("%d outcomes of batches of %v", index, sizes)
			}
		})
	}
}

func TestPublishBatchRepeatsWhatFailedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		var ids [][]string
		taken := 0
		fake.batch = func(request *tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error) {
			round := []string{}
			for _, each := range request.GetRequests() {
				round = append(round, each.GetRequestId())
			}
			ids = append(ids, round)
			response := stored(request)
			switch len(ids) {
			case 1:
				return nil, refusal(connect.CodeUnavailable, "STORE_UNAVAILABLE")
			case 2:
				response.Outcomes[1] = refused("unavailable", "STORE_UNAVAILABLE", "a sentence")
				response.Outcomes[2] = refused("invalid_argument", "FIELD_INVALID", "a sentence")
				response.Outcomes[3] = refused("resource_exhausted", "RATE_LIMITED", "a sentence")
			}
			return response, nil
		}
		var got []string
		for outcome, err := range client.PublishBatch(t.Context(), numbered(5, 0, &taken)) {
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Err != nil {
				got = append(got, outcome.Err.Code.String()+" "+outcome.Err.Reason)
			} else {
				got = append(got, outcome.Response.GetMessageId())
			}
		}
		equal(t, got, []string{"m-0", "m-1", "invalid_argument FIELD_INVALID", "m-3", "m-4"})
		if len(ids) != 3 || !slices.Equal(ids[0], ids[1]) || !slices.Equal(ids[2], []string{ids[1][1], ids[1][3]}) {
			t.Errorf("the request ids were %v", ids)
		}
	})
}

func TestPublishBatchHalvesWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		taken := 0
		fake.batch = func(request *tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error) {
			if len(request.GetRequests()) > 3 {
				return nil, refusal(connect.CodeResourceExhausted, "REQUEST_TOO_LARGE")
			}
			return stored(request), nil
		}
		index := 0
		for outcome, err := range client.PublishBatch(t.Context(), numbered(10, 0, &taken)) {
			if err != nil || outcome.Index != index || outcome.Response.GetMessageId() != fmt.Sprint("m-", index) {
				t.Errorf("outcome %d is %v, %v", index, outcome, err)
			}
			index++
		}
		if index != 10 {
			t.Errorf("%d outcomes", index)
		}
	})
}

func TestPublishBatchEndsWithAnErrorOfAWholeBatchAndWithItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		taken, calls := 0, 0
		fake.batch = func(request *tidingsv1.PublishBatchRequest) (*tidingsv1.PublishBatchResponse, error) {
			if calls++; calls == 2 {
				return nil, refusal(connect.CodePermissionDenied, "CALLER_BLOCKED")
			}
			return stored(request), nil
		}
		count := 0
		var last error
		for _, err := range client.PublishBatch(t.Context(), numbered(5000, 0, &taken)) {
			count++
			last = err
		}
		if count != 1001 || ReadError(last).Reason != "CALLER_BLOCKED" || taken > 2001 {
			t.Errorf("%d outcomes, %v, and %d requests taken", count, last, taken)
		}
		calls = 2
		for range client.PublishBatch(t.Context(), numbered(5000, 0, &taken)) {
			break
		}
		if calls != 3 || taken > 1001 {
			t.Errorf("%d calls, and %d requests taken", calls, taken)
		}
	})
}

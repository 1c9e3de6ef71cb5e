// A backend in Go, with connect-go and the code that protoc-gen-go and protoc-gen-connect-go generate from the contract.
//
//	TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... bash run.sh
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/structpb"

	tidingsv1 "example/gen/tidings/v1"
	"example/gen/tidings/v1/tidingsv1connect"
)

// bearer returns an interceptor that sends the token with each call.
func bearer(token string) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			request.Header().Set("Authorization", "Bearer "+token)
			return next(ctx, request)
		}
	}
}

// reasonOf returns the reason of a Tidings error, one of docs/errors.md; empty for any other error.
func reasonOf(err error) string {
	var refusal *connect.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	for _, detail := range refusal.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// publish retries until the message is known to be published. Its request_id makes the retries safe.
func publish(push tidingsv1connect.PushServiceClient, request *tidingsv1.PublishRequest) (*tidingsv1.PublishResponse, error) {
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		response, err := push.Publish(ctx, connect.NewRequest(request))
		cancel()
		if err == nil {
			return response.Msg, nil
		}
		code := connect.CodeOf(err)
		if (code != connect.CodeUnavailable && code != connect.CodeDeadlineExceeded) || attempt == 3 {
			return nil, err
		}
		time.Sleep(time.Duration(attempt) * 200 * time.Millisecond)
	}
}

func run() error {
	push := tidingsv1connect.NewPushServiceClient(http.DefaultClient, os.Getenv("TIDINGS_URL"),
		connect.WithInterceptors(bearer(os.Getenv("TIDINGS_TOKEN"))))
	data, err := structpb.NewValue(map[string]any{"order": "T1001", "total": 131})
	if err != nil {
		return err
	}
	request := &tidingsv1.PublishRequest{
		Audience: &tidingsv1.Audience{To: &tidingsv1.Audience_Users{
			Users: &tidingsv1.UserIds{UserIds: []string{"ada", "bob"}},
		}},
		Message: &tidingsv1.Draft{
			Kind:     tidingsv1.Kind_KIND_NOTIFICATION,
			Category: "operation",
			Title:    "订单 T1001 等待处理",
			Content:  "Order T1001 waits for you.",
			Url:      "/orders/T1001",
			Payload:  &tidingsv1.Draft_Json{Json: data},
		},
		RequestId: rand.Text(),
	}

	first, err := publish(push, request)
	if err != nil {
		return err
	}
	fmt.Println("published", first.GetMessageId())
	for _, receipt := range first.GetReceipts() {
		stored, where := "lost", "offline"
		if receipt.GetStored() {
			stored = "stored"
		}
		if receipt.GetOnline() {
			where = fmt.Sprintf("online on %d pages", receipt.GetConnections())
		}
		fmt.Printf("  %s: %s, %s\n", receipt.GetUserId(), stored, where)
	}

	second, err := publish(push, request)
	if err != nil {
		return err
	}
	if !second.GetDuplicate() || second.GetMessageId() != first.GetMessageId() {
		return errors.New("published twice")
	}
	fmt.Println("retried: the same message, published once")

	request.Message.Url = "javascript:alert(1)"
	request.RequestId = rand.Text()
	_, err = publish(push, request)
	if err == nil {
		return errors.New("published a dangerous address")
	}
	var refusal *connect.Error
	if !errors.As(err, &refusal) {
		return err
	}
	fmt.Printf("refused: %s %s: %s\n", refusal.Code(), reasonOf(err), refusal.Message())
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A backend in Go, with the SDK of this repository.
//
//	TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... bash run.sh
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tidings-dev/tidings/sdk/go"
	"google.golang.org/protobuf/types/known/structpb"
)

func run(ctx context.Context) error {
	client := tidings.NewClient(os.Getenv("TIDINGS_URL"), tidings.EnvToken("TIDINGS_TOKEN"))
	defer client.Close()
	data, err := structpb.NewValue(map[string]any{"order": "T1001", "total": 131})
	if err != nil {
		return err
	}
	request := &tidings.PublishRequest{
		Audience: tidings.ToUsers("ada", "bob"),
		Message: &tidings.Draft{
			Kind:     tidings.KindNotification,
			Category: "operation",
			Title:    "订单 T1001 等待处理",
			Content:  "Order T1001 waits for you.",
			Url:      "/orders/T1001",
			Payload:  tidings.JSON(data),
		},
		// With an id of its own, the order is announced once, however often this program is started again. Each call also
		// retries by itself until the deadline of its context.
		RequestId: rand.Text(),
	}

	first, err := client.Publish(ctx, request)
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

	second, err := client.Publish(ctx, request)
	if err != nil {
		return err
	}
	if !second.GetDuplicate() || second.GetMessageId() != first.GetMessageId() {
		return errors.New("published twice")
	}
	fmt.Println("retried: the same message, published once")

	request.Message.Url = "javascript:alert(1)"
	request.RequestId = rand.Text()
	_, err = client.Publish(ctx, request)
	if err == nil {
		return errors.New("published a dangerous address")
	}
	var refusal *tidings.Error
	if !errors.As(err, &refusal) {
		return err
	}
	fmt.Printf("refused: %s %s: %s\n", refusal.Code, refusal.Reason, refusal.Message)
	return nil
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

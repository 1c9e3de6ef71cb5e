// Receives what it publishes, with connect-go and the code that its plugin for protoc generates from the contract.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	tidingsv1 "hello/tidings/v1"
	"hello/tidings/v1/tidingsv1connect"
)

// as makes a request of the caller whose token is in the environment.
func as[Message any](token string, message *Message) *connect.Request[Message] {
	request := connect.NewRequest(message)
	request.Header().Set("Authorization", "Bearer "+os.Getenv(token))
	return request
}

func notification(draft *tidingsv1.Draft) *connect.Request[tidingsv1.PublishRequest] {
	draft.Kind = tidingsv1.Kind_KIND_NOTIFICATION
	return as("TIDINGS_SERVICE_TOKEN", &tidingsv1.PublishRequest{
		Audience: &tidingsv1.Audience{To: &tidingsv1.Audience_UserId{UserId: "ada"}},
		Message:  draft,
	})
}

// reasonOf returns the reason of a Tidings error.
func reasonOf(err error) string {
	var refusal *connect.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	for _, detail := range refusal.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				return info.GetReason()
			}
		}
	}
	return ""
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	push := tidingsv1connect.NewPushServiceClient(http.DefaultClient, os.Getenv("TIDINGS_URL"))

	stream, err := push.Subscribe(ctx, as("TIDINGS_USER_TOKEN", &tidingsv1.SubscribeRequest{}))
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() || stream.Msg().GetHello() == nil {
		log.Fatal("the stream does not begin with a hello: ", stream.Err())
	}
	published, err := push.Publish(ctx, notification(&tidingsv1.Draft{Title: "Hello from Go"}))
	if err != nil {
		log.Fatal(err)
	}
	for stream.Receive() && stream.Msg().GetMessage() == nil {
	}
	received := stream.Msg().GetMessage()
	if received.GetId() != published.Msg.GetMessageId() {
		log.Fatal("another message was received: ", received, stream.Err())
	}

	_, err = push.Publish(ctx, notification(&tidingsv1.Draft{Url: "javascript:1"}))
	fmt.Printf("received: %s; refused: %s\n", received.GetTitle(), reasonOf(err))
}

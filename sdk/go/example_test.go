package tidings_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/tidings-dev/tidings/sdk/go"
)

var (
	ctx    = context.Background()
	client = tidings.NewClient("http://127.0.0.1:7300", tidings.EnvToken("TIDINGS_TOKEN"))
)

func ExampleClient_Publish() {
	response, err := client.Publish(ctx, &tidings.PublishRequest{
		Audience:  tidings.ToUser("ann"),
		Message:   &tidings.Draft{Kind: tidings.KindNotification, Title: "Invoice 7 is due", Url: "/invoices/7"},
		RequestId: "invoice-7-due",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.GetMessageId(), response.GetDuplicate())
}

func ExampleClient_PublishBatch() {
	requests := func(yield func(*tidings.PublishRequest) bool) {
		for _, user := range []string{"ann", "bob"} {
			message := &tidings.Draft{Kind: tidings.KindNotification, Title: "The office is closed on Friday"}
			if !yield(&tidings.PublishRequest{Audience: tidings.ToUser(user), Message: message}) {
				return
			}
		}
	}
	for outcome, err := range client.PublishBatch(ctx, requests) {
		if err != nil {
			log.Fatal(err)
		}
		if outcome.Err != nil {
			fmt.Println(outcome.Index, outcome.Err.Reason)
		}
	}
}

func ExampleClient_ListUnread() {
	for message, err := range client.ListUnread(ctx, &tidings.ListUnreadRequest{Categories: []string{"invoices"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(message.GetPublishTime().AsTime(), message.GetTitle())
	}
}

func ExampleClient_MarkRead() {
	response, err := client.MarkRead(ctx, &tidings.MarkReadRequest{Target: tidings.All()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.GetChanged(), "messages are now read")
}

func ExampleSubscription_Events() {
	subscription := client.Subscribe(ctx, tidings.WithStore(tidings.FileStore("positions.json")))
	for event, err := range subscription.Events() {
		if err != nil {
			log.Fatal(err)
		}
		switch event := event.(type) {
		case *tidings.Message:
			fmt.Println(event.GetTitle(), subscription.Unread().GetTotal())
		case *tidings.Gap:
			fmt.Println("messages were removed before they were read:", event)
		}
	}
}

func ExampleSubscription_Join() {
	subscription := client.Subscribe(ctx)
	go func() {
		time.Sleep(time.Minute)
		if err := subscription.Join("team/blue", tidings.RoomModeAny); err != nil {
			log.Print(err)
		}
	}()
	for message, err := range subscription.Messages() {
		fmt.Println(message.GetRoomId(), message.GetTitle(), err)
	}
}

func ExampleError() {
	_, err := client.OnlineCount(ctx, &tidings.OnlineCountRequest{})
	var refusal *tidings.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Code, refusal.Reason, refusal.Field, refusal.RetryAfter)
	}
}

func ExampleWithHTTPClient() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// HTTP/2 without TLS.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := tidings.NewClient("http://tidings.internal:7300", tidings.EnvToken("TIDINGS_TOKEN"),
		tidings.WithHTTPClient(&http.Client{Transport: transport}))
	defer client.Close()
}

func ExampleDirectRoom() {
	fmt.Println(tidings.DirectRoom("bob", "ann"))
	// Output: dm/ann/bob
}

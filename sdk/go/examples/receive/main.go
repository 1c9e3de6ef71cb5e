// Receive prints the messages of a user or a service, and goes on where it ended when it is started again.
//
//	TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... go run ./examples/receive [-store positions.json] [room ...]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tidings-dev/tidings/sdk/go"
)

func receive(ctx context.Context, store string, rooms []string) error {
	client := tidings.NewClient(os.Getenv("TIDINGS_URL"), tidings.EnvToken("TIDINGS_TOKEN"))
	defer client.Close()
	subscription := client.Subscribe(ctx, tidings.WithStore(tidings.FileStore(store)), tidings.WithRooms(rooms...))
	for event, err := range subscription.Events() {
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case *tidings.Message:
			// The message is saved as received when the loop asks for the next event: do here what must be done.
			fmt.Println(event.GetTitle())
		case *tidings.CaughtUp:
			fmt.Println("live,", subscription.Unread().GetTotal(), "unread")
		case *tidings.Gap:
			fmt.Println("messages of", event.GetTo().GetFeed(), "are no longer there; the lists have those that remain")
		case *tidings.Reset:
			fmt.Println("the server was restored from a backup; the lists have what this program missed")
		case *tidings.RoomState:
			fmt.Println("room", event.GetRoomId(), event.GetStatus(), event.GetMessage())
		}
	}
	return nil
}

func main() {
	store := flag.String("store", "positions.json", "the `file` with the positions")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := receive(ctx, *store, flag.Args()); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Import publishes requests from standard input, one PublishRequest in JSON a line, in batches. It can be started again
// with the same input if the requests have a requestId: what is stored already is not published twice.
//
//	echo '{"requestId":"7","audience":{"userId":"ann"},"message":{"kind":"KIND_NOTIFICATION","title":"Hello"}}' |
//	  TIDINGS_URL=http://127.0.0.1:7300 TIDINGS_TOKEN=... go run ./examples/import
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/tidings-dev/tidings/sdk/go"
	"google.golang.org/protobuf/encoding/protojson"
)

func publish(ctx context.Context, input io.Reader) error {
	client := tidings.NewClient(os.Getenv("TIDINGS_URL"), tidings.EnvToken("TIDINGS_TOKEN"))
	defer client.Close()
	var broken error
	requests := func(yield func(*tidings.PublishRequest) bool) {
		lines := bufio.NewScanner(input)
		lines.Buffer(nil, 1<<20)
		for number := 1; lines.Scan(); number++ {
			request := &tidings.PublishRequest{}
			if err := protojson.Unmarshal(lines.Bytes(), request); err != nil {
				broken = fmt.Errorf("line %d: %w", number, err)
				return
			}
			if !yield(request) {
				return
			}
		}
		broken = lines.Err()
	}
	stored, refused := 0, 0
	for outcome, err := range client.PublishBatch(ctx, requests) {
		switch {
		case err != nil:
			return err
		case outcome.Err != nil:
			refused++
			fmt.Printf("line %d: %v\n", outcome.Index+1, outcome.Err)
		default:
			stored++
		}
	}
	fmt.Println(stored, "stored,", refused, "refused")
	return broken
}

func main() {
	if err := publish(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

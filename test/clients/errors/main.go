// Prints how two errors of a server read, by the function of docs/errors.md: host and port, then a token, as arguments.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	target, token := os.Args[1], os.Args[2]
	// The first call of ListUnread uses up the rate limit.
	for _, method := range []string{"Publish", "ListUnread", "ListUnread"} {
		// An empty request needs no generated code.
		url := "http://" + target + "/tidings.v1.PushService/" + method
		client := connect.NewClient[emptypb.Empty, emptypb.Empty](http.DefaultClient, url)
		request := connect.NewRequest(&emptypb.Empty{})
		request.Header().Set("Authorization", "Bearer "+token)
		if _, err := client.CallUnary(context.Background(), request); err != nil {
			code, reason, field, retryAfter := readError(err)
			later := "-"
			if retryAfter > time.Second {
				later = "later"
			}
			var failed *connect.Error
			errors.As(err, &failed)
			fmt.Printf("%v|%s|%s|%s|%s\n", code, reason, cmp.Or(field, "-"), later, failed.Message())
		}
	}
}

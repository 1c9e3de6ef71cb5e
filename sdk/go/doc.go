// Package tidings is a client of Tidings, a push service with durable feeds and an inbox.
//
// A [Client] publishes messages and reads lists:
//
//	client := tidings.NewClient("https://push.example.com", tidings.EnvToken("TIDINGS_TOKEN"))
//	defer client.Close()
//	response, err := client.Publish(ctx, &tidings.PublishRequest{
//		Audience: tidings.ToUser("ann"),
//		Message:  &tidings.Draft{Kind: tidings.KindNotification, Title: "Invoice 7 is due"},
//	})
//
// A [Subscription] receives messages. It survives lost connections, restarts of the server and expired tokens, and yields
// each message once and in order, or says with a [Gap] which messages are no longer there:
//
//	for message, err := range client.Subscribe(ctx).Messages() {
//		if err != nil {
//			return err
//		}
//		fmt.Println(message.GetTitle())
//	}
//
// # Errors
//
// Calls return an [*Error], whose Reason is one of the table in docs/errors.md, and so do loops that the server ends. A loop
// whose context has ended returns the context's cause. A call is retried until its deadline when that is safe and may help;
// the error of the last attempt is returned.
//
// # Positions
//
// A subscription knows its position in each feed, and continues there after every reconnect. A [Store] keeps the positions
// between runs of a program: a message is saved as received when the loop asks for the next one, so a program that crashes
// while it handles a message gets that message again.
//
// # Goroutines
//
// A client has no goroutines of its own. The goroutines of a subscription begin and end with the loop over it.
//
// # Connections
//
// The client speaks the Connect protocol, with Protobuf: over HTTP/2 for https URLs, and over HTTP/1.1 for http URLs, so
// that it passes proxies of any kind. A subscription over HTTP/1.1 has a connection of its own. See [WithHTTPClient] for
// HTTP/2 without TLS, and [WithConnectOptions] for gRPC.
package tidings

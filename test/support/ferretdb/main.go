// Ferretdb serves MongoDB's protocol for tests, on data in SQLite files.
//
// Usage: ferretdb <folder> <host:port>
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listener := ferretdb.ListenerConfig{TCP: os.Args[2]}
	config := &ferretdb.Config{Listener: listener, Handler: "sqlite", SQLiteURL: "file:" + os.Args[1] + "/"}
	server, err := ferretdb.New(config)
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	_ = server.Run(ctx)
}

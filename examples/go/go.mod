module example

go 1.26.0

require (
	github.com/tidings-dev/tidings/sdk/go v0.0.0
	google.golang.org/protobuf v1.36.12
)

require (
	connectrpc.com/connect v1.21.1 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261019180522-ce908d29299b // indirect
)

// The SDK beside this program. In your own module, `go get github.com/tidings-dev/tidings/sdk/go` takes its place.
replace github.com/tidings-dev/tidings/sdk/go => ../../sdk/go

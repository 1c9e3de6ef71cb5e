package tidings

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1/tidingsv1connect"
)

const (
	// maxMessageBytes is the limit of a response: a page of a list can exceed the 4 MiB that are common.
	maxMessageBytes = 16 << 20
	// callTimeout is the default deadline of a call, its retries included.
	callTimeout = 30 * time.Second
)

// A Client calls a Tidings server. It is safe for concurrent use; one client serves a whole program. Subscriptions and
// calls of a client share its token, so a program that acts for several users needs a client for each.
type Client struct {
	push   tidingsv1connect.PushServiceClient
	admin  tidingsv1connect.AdminServiceClient
	tokens *tokens
	config clientConfig
	// err is the mistake in the arguments of NewClient, which every call returns.
	err error
	// ctx ends when the client is closed.
	ctx    context.Context
	cancel context.CancelFunc
	// idle closes the idle connections of a transport that the client has made.
	idle func()

	mu sync.Mutex
	// subscriptions are those with a loop; they take the totals of calls.
	subscriptions map[*Subscription]struct{}
	// retryLogged is the time of the last log line about calls that are retried.
	retryLogged time.Time
}

type clientConfig struct {
	http    connect.HTTPClient
	logger  *slog.Logger
	connect []connect.ClientOption
	timeout time.Duration
	// fraction returns numbers in [0, 1).
	fraction func() float64
}

// A ClientOption is an option of NewClient.
type ClientOption func(*clientConfig)

// WithHTTPClient sets the HTTP client. It must not have a timeout, which would end the streams. The default uses HTTP/2
// for https URLs and HTTP/1.1 for http URLs, through the proxy that the environment names (HTTPS_PROXY and others), and
// does not follow redirects.
func WithHTTPClient(client connect.HTTPClient) ClientOption {
	return func(config *clientConfig) { config.http = client }
}

// WithLogger sets the logger: for a warning when trouble with a subscription begins and a line when it is over, and for a
// warning, at most once a minute, while calls are retried. The default is [slog.Default]; slog.New(slog.DiscardHandler)
// logs nothing.
func WithLogger(logger *slog.Logger) ClientOption {
	return func(config *clientConfig) { config.logger = logger }
}

// WithTimeout sets the deadline of calls whose context has none, their retries included. The default is 30 s.
func WithTimeout(timeout time.Duration) ClientOption {
	return func(config *clientConfig) { config.timeout = timeout }
}

// WithConnectOptions adds options of the generated clients, such as interceptors, or connect.WithGRPC.
func WithConnectOptions(options ...connect.ClientOption) ClientOption {
	return func(config *clientConfig) { config.connect = append(config.connect, options...) }
}

// NewClient returns a client of the server at an http or https URL. It connects when it is used. A mistake in the URL or a
// missing token function is the error of every call.
func NewClient(url string, token TokenFunc, options ...ClientOption) *Client {
	config := clientConfig{logger: slog.Default(), timeout: callTimeout, fraction: rand.Float64}
	for _, option := range options {
		option(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	client := &Client{ctx: ctx, cancel: cancel, idle: func() {}, subscriptions: map[*Subscription]struct{}{}}
	if config.http == nil {
		transport := newTransport()
		config.http = &http.Client{
			Transport: transport,
			// After a redirect the request would lack its body or its credential.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		client.idle = transport.CloseIdleConnections
	}
	client.config = config
	client.tokens = &tokens{source: token, ctx: ctx}
	baseURL, err := parseURL(url)
	if err == nil && token == nil {
		err = invalid("token: must not be nil")
	}
	client.err = err
	connectOptions := append([]connect.ClientOption{connect.WithReadMaxBytes(maxMessageBytes)}, config.connect...)
	doer := strictClient{config.http}
	client.push = tidingsv1connect.NewPushServiceClient(doer, baseURL, connectOptions...)
	client.admin = tidingsv1connect.NewAdminServiceClient(doer, baseURL, connectOptions...)
	return client
}

// Close ends the subscriptions and the calls of the client. It does nothing when repeated.
func (c *Client) Close() {
	c.cancel()
	c.idle()
}

// newTransport returns the transport of a client.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		// Concurrent calls over HTTP/1.1 have a connection each.
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		// A connection that was lost in silence must not fail every call until TCP gives up.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

func parseURL(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil ||
		parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" {
		// The text may contain a password, which does not belong in a log.
		return "", invalid("url: must be an http or https URL without user, password, query or fragment")
	}
	return strings.TrimRight(parsed.String(), "/"), nil
}

func invalid(message string) *Error {
	return &Error{Code: connect.CodeInvalidArgument, Message: message}
}

// A strictClient turns responses that no Tidings server sends into errors: Connect would read a code into the 403 of a
// proxy, and a caller could not tell it from a refusal.
type strictClient struct {
	http connect.HTTPClient
}

// Do sends a request.
func (c strictClient) Do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil || response.StatusCode == http.StatusOK ||
		strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return response, err
	}
	// A short body is read to its end, so that its connection serves the next call.
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	_ = response.Body.Close()
	return nil, &httpError{status: response.StatusCode, retryAfter: retryAfter(response.Header)}
}

// add registers a subscription for the totals of calls; remove undoes it.
func (c *Client) add(subscription *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscriptions[subscription] = struct{}{}
}

func (c *Client) remove(subscription *Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subscriptions, subscription)
}

// answer gives the totals of a unary response to the subscriptions.
func (c *Client) answer(totals *UnreadTotals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for subscription := range c.subscriptions {
		subscription.answer(totals)
	}
}

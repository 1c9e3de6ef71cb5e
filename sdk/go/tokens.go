package tidings

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// tokenTimeout is the deadline of the token function.
const tokenTimeout = 30 * time.Second

// A TokenFunc returns a JWT. The client calls it before the first request, and with refresh set after the server refused
// the token: then it must return a new one. Its calls never overlap, unless one ignores the end of its context, which is
// after 30 s. After an error, the client calls it again, with delays; but an [*Error] with a code that is not transient,
// such as connect.CodeUnauthenticated after its user has signed out, ends the call or the subscription.
//
// Tokens should live for minutes. A subscription replaces a refused token at once if a stream of it was open for 1 s since
// the last refusal; otherwise it waits, for 0.5 to 1 s at first and for 15 to 30 s after six more refusals.
type TokenFunc func(ctx context.Context, refresh bool) (string, error)

// StaticToken returns a TokenFunc for a token that does not expire while the program runs.
func StaticToken(token string) TokenFunc {
	return func(context.Context, bool) (string, error) {
		if token == "" {
			return "", invalid("the static token is empty")
		}
		if !isToken(token) {
			return "", invalid("the static token " + noToken)
		}
		return token, nil
	}
}

// EnvToken returns a TokenFunc that reads an environment variable.
func EnvToken(name string) TokenFunc {
	return func(context.Context, bool) (string, error) {
		token := os.Getenv(name)
		if token == "" {
			return "", invalid(name + " is not set")
		}
		if !isToken(token) {
			return "", invalid(name + " " + noToken)
		}
		return token, nil
	}
}

// noToken says what is wrong with a token for which isToken is false, without quoting it.
const noToken = "has a space, a line break or a character outside ASCII, so it is no JWT"

// isToken reports whether a header can hold a token. The usual mistakes are the line break of a file and an error page.
func isToken(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// tokens holds the token in use, which all calls and subscriptions of a client share. It calls the token function for one
// of them at a time, and again only after a refusal.
type tokens struct {
	source TokenFunc
	// ctx ends when the client is closed.
	ctx context.Context

	mu      sync.Mutex
	current *tokenCall
	refresh bool
}

// A tokenCall is one call of the token function; token and err are valid when done is closed.
type tokenCall struct {
	done chan struct{}
	// late is done when the token function is overdue. It may be done as well after the call.
	late  context.Context
	token string
	err   error
}

// get returns the token in use, or calls the token function.
func (t *tokens) get(ctx context.Context) (string, error) {
	call := t.call()
	select {
	case <-call.done:
		return call.token, call.err
	case <-call.late.Done():
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case <-call.done:
		return call.token, call.err
	default:
		// The token function ignores its context.
		t.drop(call)
		return "", &Error{Code: connect.CodeDeadlineExceeded, Message: "the token function returned no token within 30 s"}
	}
}

// call returns the call of the token in use, and starts one if there is none.
func (t *tokens) call() *tokenCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil {
		return t.current
	}
	ctx, cancel := context.WithTimeout(t.ctx, tokenTimeout)
	call := &tokenCall{done: make(chan struct{}), late: ctx}
	t.current = call
	refresh := t.refresh
	go func() {
		defer cancel()
		token, err := t.source(ctx, refresh)
		if err == nil && token == "" {
			err = errors.New("the token function returned no token")
		} else if err == nil && !isToken(token) {
			err = errors.New("what the token function returned " + noToken)
		}
		if err != nil {
			err = tokenError(err)
			t.drop(call)
		}
		call.token, call.err = token, err
		// Before late is done.
		close(call.done)
	}()
	return call
}

// tokenError returns the error for one of the token function.
func tokenError(err error) *Error {
	wrapped := &Error{Code: ReadError(err).Code, Message: "token: " + err.Error(), cause: err}
	if known, ok := errors.AsType[*Error](err); ok {
		wrapped.Message = "token: " + known.Message
		wrapped.final = !isTransient(known.Code, known.Reason)
	}
	return wrapped
}

// refuse drops a token that the server refused; it does nothing if another one has replaced it already.
func (t *tokens) refuse(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		return
	}
	select {
	case <-t.current.done:
		if t.current.token == token {
			t.current = nil
			t.refresh = true
		}
	default:
	}
}

func (t *tokens) drop(call *tokenCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == call {
		t.current = nil
	}
}

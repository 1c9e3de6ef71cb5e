package tidings

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

// errorDomain is the domain of the ErrorInfo in every error of a Tidings server.
const errorDomain = "tidings"

// An Error is the error of a call or of a subscription. Find it with [errors.As]:
//
//	var refusal *tidings.Error
//	if errors.As(err, &refusal) && refusal.Reason == "QUOTA_EXCEEDED" { … }
//
// It wraps the error that caused it, which may be a [connect.Error].
type Error struct {
	// Code is the code of Connect and gRPC. An error that did not come from a Tidings server, such as the 502 of a proxy,
	// has connect.CodeUnavailable, since it may be transient.
	Code connect.Code
	// Reason is the server's reason, such as TOKEN_EXPIRED: see docs/errors.md. It is empty if the error did not come from a
	// Tidings server.
	Reason string
	// Field is the path of the field at fault, such as message.url, if there is one.
	Field string
	// Message is one English sentence, for people.
	Message string
	// RetryAfter is the delay after which the server suggests a retry; 0 if it suggests none.
	RetryAfter time.Duration

	cause error
	// final: the token function has said that there will be no token.
	final bool
}

// Error returns the code, the reason and the sentence.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("tidings: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("tidings: %s %s: %s", e.Code, e.Reason, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	return e.cause
}

// ReadError returns the code, the reason, the field and the delay of an error of a generated client of Connect, or of this
// package. It returns nil for nil.
func ReadError(err error) *Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if answer, ok := errors.AsType[*httpError](err); ok {
		return &Error{Code: answer.code(), Message: answer.Error(), RetryAfter: answer.retryAfter, cause: err}
	}
	read := &Error{Code: connect.CodeUnavailable, Message: err.Error(), cause: err}
	refusal, ok := errors.AsType[*connect.Error](err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			read.Code = connect.CodeCanceled
		} else if errors.Is(err, context.DeadlineExceeded) {
			read.Code = connect.CodeDeadlineExceeded
		}
		return read
	}
	read.Message = refusal.Message()
	read.RetryAfter = retryAfter(refusal.Meta())
	for _, detail := range refusal.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		switch detail := value.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				read.Reason = detail.GetReason()
				read.Field = detail.GetMetadata()["field"]
			}
		case *errdetails.RetryInfo:
			read.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	// Connect also reports canceled for a connection that was reset, invalid_argument for a stream that was cut within a
	// message, and unimplemented for the 404 of a proxy during a deployment: only the code of a Tidings server means what
	// it says.
	code := refusal.Code()
	if read.Reason != "" || code == connect.CodeDeadlineExceeded || code == connect.CodeUnauthenticated ||
		code == connect.CodeCanceled && errors.Is(err, context.Canceled) {
		read.Code = code
	}
	return read
}

// retryable reports whether the same call may succeed later.
func (e *Error) retryable() bool {
	switch {
	case e.final || e.Reason == "QUOTA_EXCEEDED":
		return false
	case e.RetryAfter > 0:
		return true
	}
	return isTransient(e.Code, e.Reason)
}

// isTransient reports whether a code, or a reason where there is no delay, stands for an error that may pass.
func isTransient(code connect.Code, reason string) bool {
	switch code {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted:
		return true
	}
	return reason == "RATE_LIMITED" || reason == "TOO_MUCH_IN_FLIGHT"
}

// isFinal reports whether a retry of the subscription would end with the same error.
func (e *Error) isFinal() bool {
	if e.final {
		return true
	}
	if e.Reason == "" {
		return false
	}
	switch e.Code {
	case connect.CodePermissionDenied, connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodeNotFound:
		return true
	}
	return false
}

// refusesPositions reports whether the server refused the positions of a subscription rather than the subscription.
func (e *Error) refusesPositions() bool {
	return e.Reason == "POSITION_IN_FUTURE" || e.Reason == "POSITION_INVALID"
}

// An httpError is an HTTP response that no Tidings server sends to a call: one of an intermediary, or of another server.
type httpError struct {
	status     int
	retryAfter time.Duration
}

func (e *httpError) Error() string {
	return fmt.Sprintf("HTTP %d: is this the URL of a Tidings server?", e.status)
}

func (e *httpError) code() connect.Code {
	if e.status == http.StatusUnauthorized {
		return connect.CodeUnauthenticated
	}
	return connect.CodeUnavailable
}

// retryAfter returns the delay of a Retry-After header in seconds or as a date; 0 if there is none.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

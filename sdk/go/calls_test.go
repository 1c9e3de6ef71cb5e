package tidings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	tidingsv1 "github.com/tidings-dev/tidings/sdk/go/gen/tidings/v1"
)

func notify(title string) *PublishRequest {
	return &PublishRequest{Audience: ToUser("ann"), Message: &Draft{Kind: KindNotification, Title: title}}
}

// failures returns a Publish that fails with each of the errors once.
func failures(ids *[]string, errs ...error) func(context.Context, *PublishRequest) (*PublishResponse, error) {
	return func(_ context.Context, request *PublishRequest) (*PublishResponse, error) {
		*ids = append(*ids, request.GetRequestId())
		if len(*ids) <= len(errs) {
			return nil, errs[len(*ids)-1]
		}
		return &PublishResponse{MessageId: "m"}, nil
	}
}

func TestPublishKeepsTheRequestIDOfItsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		var ids []string
		fake.publish = failures(&ids, refusal(connect.CodeUnavailable, "STORE_UNAVAILABLE"), refusal(connect.CodeAborted, "CONFLICT"),
			refusal(connect.CodeResourceExhausted, "RATE_LIMITED", retryIn(3*time.Second)),
			refusal(connect.CodeDeadlineExceeded, "DEADLINE_EXCEEDED"), connect.NewError(connect.CodeUnknown, io.ErrUnexpectedEOF))
		since := time.Now()
		response, err := client.Publish(t.Context(), notify("a"))
		if err != nil || response.GetMessageId() != "m" {
			t.Errorf("got %v, %v", response, err)
		}
		if len(ids) != 6 || len(slices.Compact(slices.Clone(ids))) != 1 || len(ids[0]) != 36 {
			t.Errorf("the request ids were %v", ids)
		}
		// 0.25 + 0.5 + 3.25 + 2 + 4 s.
		within(t, time.Since(since), 10*time.Second, 10*time.Second)
	})
}

func TestPublishDoesNotRetryRefusals(t *testing.T) {
	for _, err := range []*connect.Error{
		refusal(connect.CodeInvalidArgument, "FIELD_INVALID"),
		refusal(connect.CodePermissionDenied, "ROLE_FORBIDDEN"),
		refusal(connect.CodeResourceExhausted, "QUOTA_EXCEEDED", retryIn(time.Second)),
		refusal(connect.CodeResourceExhausted, "MESSAGE_TOO_LARGE"),
		refusal(connect.CodeAlreadyExists, "REQUEST_ID_REUSED"),
		refusal(connect.CodeInternal, "INTERNAL"),
	} {
		synctest.Test(t, func(t *testing.T) {
			fake, client := newFake(t, nil)
			var ids []string
			fake.publish = failures(&ids, err, err)
			_, got := client.Publish(t.Context(), notify("a"))
			refused, ok := errors.AsType[*Error](got)
			if !ok || refused.Code != err.Code() || refused.Reason == "" || refused.Field != "message.url" || len(ids) != 1 {
				t.Errorf("got %v after %d attempts", got, len(ids))
			}
			if !strings.Contains(got.Error(), refused.Code.String()+" "+refused.Reason) {
				t.Errorf("the error says %q", got)
			}
			if connected, ok := errors.AsType[*connect.Error](got); !ok || connected.Code() != err.Code() {
				t.Error("the error does not wrap that of Connect")
			}
		})
	}
}

func TestPublishGivesUpAtItsDeadline(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []ClientOption
		limit   time.Duration
		want    time.Duration
	}{
		{"the default", nil, 0, 30 * time.Second},
		{"an option", []ClientOption{WithTimeout(5 * time.Second)}, 0, 5 * time.Second},
		{"a context", nil, time.Minute, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, client := newFake(t, nil, c.options...)
				fake.publish = func(context.Context, *PublishRequest) (*PublishResponse, error) {
					return nil, refusal(connect.CodeUnavailable, "STORE_UNAVAILABLE")
				}
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if c.limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.limit)
				}
				defer cancel()
				since := time.Now()
				_, err := client.Publish(ctx, notify("a"))
				if ReadError(err).Reason != "STORE_UNAVAILABLE" {
					t.Errorf("got %v", err)
				}
				// It returns before the deadline when the next delay would pass it.
				within(t, time.Since(since), c.want/4, c.want)
			})
		})
	}
}

func TestPublishReplacesAnAttemptThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		attempts := 0
		fake.publish = func(ctx context.Context, _ *PublishRequest) (*PublishResponse, error) {
			if attempts++; attempts == 1 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return &PublishResponse{}, nil
		}
		since := time.Now()
		if _, err := client.Publish(t.Context(), notify("a")); err != nil {
			t.Error(err)
		}
		within(t, time.Since(since), 10*time.Second, 11*time.Second)
	})
}

func TestPublishEndsWithItsContextAndItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		fake.publish = func(ctx context.Context, _ *PublishRequest) (*PublishResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := client.Publish(ctx, notify("a"))
		if !errors.Is(err, context.Canceled) || ReadError(err).Code != connect.CodeCanceled {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Second, client.Close)
		_, err = client.Publish(t.Context(), notify("a"))
		if ReadError(err).Code != connect.CodeCanceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestPublishReplacesARefusedTokenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refreshes []bool
		fake, client := newFake(t, func(_ context.Context, refresh bool) (string, error) {
			refreshes = append(refreshes, refresh)
			return fmt.Sprint("token-", len(refreshes)), nil
		})
		var ids []string
		expired := refusal(connect.CodeUnauthenticated, "TOKEN_EXPIRED")
		fake.publish = failures(&ids, expired)
		since := time.Now()
		if _, err := client.Publish(t.Context(), notify("a")); err != nil {
			t.Error(err)
		}
		if !slices.Equal(refreshes, []bool{false, true}) || time.Since(since) != 0 {
			t.Errorf("the token function was called with %v", refreshes)
		}
		ids = nil
		fake.publish = failures(&ids, expired, expired)
		if _, err := client.Publish(t.Context(), notify("a")); ReadError(err).Reason != "TOKEN_EXPIRED" || len(ids) != 2 {
			t.Errorf("got %v after %d attempts", err, len(ids))
		}
	})
}

func TestATokenFunctionCanEndCallsAndSubscriptions(t *testing.T) {
	t.Setenv("TIDINGS_TEST_TOKEN", "secret\r\nX-Admin: 1")
	signedOut := &Error{Code: connect.CodeUnauthenticated, Message: "signed out"}
	for name, token := range map[string]TokenFunc{
		"an error of its own": func(context.Context, bool) (string, error) { return "", fmt.Errorf("the session: %w", signedOut) },
		"no static token":     StaticToken(""),
		"no variable":         EnvToken("TIDINGS_NO_SUCH_TOKEN"),
		"a static line break": StaticToken("secret\n"),
		"a line break":        EnvToken("TIDINGS_TEST_TOKEN"),
	} {
		synctest.Test(t, func(t *testing.T) {
			_, client := newFake(t, token)
			since := time.Now()
			if _, err := client.Publish(t.Context(), notify("a")); err == nil || !strings.Contains(err.Error(), "token: ") ||
				strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: Publish returns %v", name, err)
			}
			if err := startLoop(client.Subscribe(t.Context()), false).wait(); err == nil {
				t.Errorf("%s: the loop ends without an error", name)
			}
			if time.Since(since) != 0 {
				t.Errorf("%s: it took %v", name, time.Since(since))
			}
		})
	}
}

func TestCallsRetryErrorsOfTheTokenFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var log bytes.Buffer
		fake, client := newFake(t, func(context.Context, bool) (string, error) {
			switch calls++; calls {
			case 1, 2:
				return "", errors.New("the login service is away")
			case 3:
				return "<html>\n", nil
			}
			return "token", nil
		}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		fake.publish = func(context.Context, *PublishRequest) (*PublishResponse, error) { return &PublishResponse{}, nil }
		if _, err := client.Publish(t.Context(), notify("a")); err != nil || calls != 4 {
			t.Errorf("got %v after %d calls", err, calls)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "the login service is away") {
			t.Errorf("the log is\n%s", text)
		}
	})
}

func TestCallsShareOneCallOfTheTokenFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		fake, client := newFake(t, func(context.Context, bool) (string, error) {
			calls++
			time.Sleep(time.Second)
			return "token", nil
		})
		fake.publish = func(context.Context, *PublishRequest) (*PublishResponse, error) { return &PublishResponse{}, nil }
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				if _, err := client.Publish(t.Context(), notify("a")); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for range 1000 {
			if _, err := client.tokens.get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if calls != 1 {
			t.Errorf("the token function was called %d times", calls)
		}
	})
}

func TestCallsRetryWhatAnIntermediaryAnswers(t *testing.T) {
	for _, c := range []struct {
		status int
		header string
		wait   time.Duration
	}{
		{http.StatusForbidden, "", 250 * time.Millisecond},
		{http.StatusNotFound, "", 250 * time.Millisecond},
		{http.StatusFound, "", 250 * time.Millisecond},
		{http.StatusBadGateway, "", 250 * time.Millisecond},
		{http.StatusServiceUnavailable, "7", 7250 * time.Millisecond},
		{http.StatusUnauthorized, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake, client := newFake(t, nil)
			first := true
			fake.plain = func(w http.ResponseWriter, _ *http.Request) bool {
				if !first {
					return false
				}
				first = false
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, "<h1>nothing here</h1>")
				return true
			}
			fake.publish = func(context.Context, *PublishRequest) (*PublishResponse, error) { return &PublishResponse{}, nil }
			since := time.Now()
			if _, err := client.Publish(t.Context(), notify("a")); err != nil {
				t.Errorf("%d: %v", c.status, err)
			}
			within(t, time.Since(since), c.wait, c.wait)
		})
	}
}

func TestErrorsOfAnIntermediaryNameItsStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		fake.plain = func(w http.ResponseWriter, _ *http.Request) bool {
			http.NotFound(w, nil)
			return true
		}
		_, err := client.OnlineCount(t.Context(), nil)
		if read := ReadError(err); read.Code != connect.CodeUnavailable || read.Reason != "" || !strings.Contains(err.Error(), "HTTP 404") {
			t.Errorf("got %v", err)
		}
	})
}

func TestMistakesOfTheCallerAreNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		var ids []string
		fake.publish = failures(&ids)
		since := time.Now()
		if _, err := client.Publish(t.Context(), notify("\xff")); ReadError(err).Code != connect.CodeInvalidArgument {
			t.Errorf("a title that is not UTF-8 returns %v", err)
		}
		for _, url := range []string{"", "tidings.test", "ftp://tidings.test", "http://a:b@tidings.test", "http://tidings.test/?a", "http://tidings.test?", "http://%"} {
			client := NewClient(url, StaticToken("t"))
			if _, err := client.Publish(t.Context(), notify("a")); ReadError(err).Code != connect.CodeInvalidArgument ||
				strings.Contains(err.Error(), "a:b") {
				t.Errorf("the URL %q returns %v", url, err)
			}
			for _, err := range client.Subscribe(t.Context()).Events() {
				if ReadError(err).Code != connect.CodeInvalidArgument {
					t.Errorf("the URL %q ends the loop with %v", url, err)
				}
			}
		}
		if _, err := NewClient("http://tidings.test", nil).Publish(t.Context(), notify("a")); ReadError(err).Code != connect.CodeInvalidArgument {
			t.Errorf("no token function returns %v", err)
		}
		if time.Since(since) != 0 {
			t.Errorf("it took %v", time.Since(since))
		}
	})
}

func TestMarkReadOfTheOldestIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		calls := 0
		fake.mark = func(*MarkReadRequest) (*MarkReadResponse, error) {
			calls++
			return nil, refusal(connect.CodeUnavailable, "STORE_UNAVAILABLE")
		}
		oldest := &MarkReadRequest{Target: &tidingsv1.MarkReadRequest_Oldest{Oldest: 3}}
		if _, err := client.MarkRead(t.Context(), oldest); err == nil || calls != 1 {
			t.Errorf("got %v after %d calls", err, calls)
		}
		if _, err := client.MarkRead(t.Context(), &MarkReadRequest{Target: All()}); err == nil || calls < 4 {
			t.Errorf("got %v after %d calls", err, calls)
		}
	})
}

func TestListsGoOnUntilThereIsNoNextPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, client := newFake(t, nil)
		next := map[string]string{"": "1", "1": "2", "2": "3", "3": ""}
		fake.list = func(request *ListUnreadRequest) (*tidingsv1.ListUnreadResponse, error) {
			token := request.GetPageToken()
			if request.GetPageSize() != 7 {
				return nil, refusal(connect.CodeInvalidArgument, "PAGE_TOKEN_INVALID")
			}
			response := &tidingsv1.ListUnreadResponse{NextPageToken: next[token]}
			if token != "2" {
				response.Messages = []*Message{{Title: token + "a"}, {Title: token + "b"}}
			}
			return response, nil
		}
		request := &ListUnreadRequest{PageSize: 7}
		collect := func() (titles []string, err error) {
			for message, err := range client.ListUnread(t.Context(), request) {
				if err != nil {
					return titles, err
				}
				titles = append(titles, message.GetTitle())
			}
			return titles, nil
		}
		for range 2 {
			titles, err := collect()
			if err != nil {
				t.Error(err)
			}
			equal(t, titles, []string{"a", "b", "1a", "1b", "3a", "3b"})
		}
		if request.GetPageToken() != "" {
			t.Error("the request was changed")
		}
		request.PageSize = 8
		if titles, err := collect(); len(titles) != 0 || ReadError(err).Reason != "PAGE_TOKEN_INVALID" {
			t.Errorf("got %v, %v", titles, err)
		}
		for range client.ListUnread(t.Context(), nil) {
			break
		}
	})
}

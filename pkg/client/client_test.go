// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// TestMain fails when a goroutine of the package is left over.
func TestMain(m *testing.M) {
	code := m.Run()
	var stacks string
	for range 100 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "net/http.(*persistConn)") && !strings.Contains(stacks, "client.(*Client)") {
			os.Exit(code)
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "goroutines are left:\n"+stacks)
	os.Exit(1)
}

// against returns a client of h over TCP, on fast terms.
func against(t *testing.T, h http.HandlerFunc, change ...func(*client.Options)) *client.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o := client.Options{Server: s.URL, RetryFor: 400 * time.Millisecond, Timeout: 10 * time.Second}
	for _, c := range change {
		c(&o)
	}
	return connect(t, o)
}

func connect(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func problem(status int, fields ...api.FieldError) http.HandlerFunc {
	return speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, status, fields...)
	})
}

func answer(w http.ResponseWriter, status int, fields ...api.FieldError) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(status)
	writeJSON(w, api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: "it is so", Errors: fields})
}

// hijacked answers with raw bytes and closes the connection.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
	}
}

const good = "HTTP/1.1 200 OK\r\n" + api.VersionHeader + ": " + api.Version + "\r\n"

// TestFailures: however a server behaves, the error is of the right kind, is one
// line, and says what to do.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		h    http.HandlerFunc
		kind error
		want string
	}{
		"foreign":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, client.ErrForeign, "name another socket or server"},
		"foreign 401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, client.ErrForeign, "401 Unauthorized without a valid header"},
		"users": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		}, client.ErrForeign, "name the address of api.listen, or the socket"},
		"header is not": {speaking("one", func(http.ResponseWriter, *http.Request) {}), client.ErrForeign, api.VersionHeader},
		"no HTTP":       {hijacked("SSH-2.0-OpenSSH_9.2\r\n"), nil, "cannot be reached: "},
		"redirect":      {speaking(api.Version, http.RedirectHandler("http://192.0.2.1/", http.StatusFound).ServeHTTP), client.ErrForeign, "leads elsewhere"},
		"old":           {speaking("0.9", func(w http.ResponseWriter, _ *http.Request) { answer(w, 404) }), client.ErrTooOld, "upgrade the daemon"},
		"new":           {speaking("2.0", func(w http.ResponseWriter, _ *http.Request) { answer(w, 404) }), client.ErrTooNew, "upgrade this program"},
		"400":           {problem(400, api.FieldError{Field: "limit", Detail: `"x"; allowed: 1 to 10`}), nil, `it is so: limit: "x"; allowed: 1 to 10`},
		"401":           {problem(401), client.ErrUnauthorized, "asks for a token; give the one of its api.token_file"},
		"403":           {problem(403), client.ErrPermission, "it is so"},
		"404":           {problem(404), nil, "it is so"},
		"429":           {problem(429), nil, "it is so"},
		"503":           {problem(503), nil, "it is so"},
		"500, no JSON":  {speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", 500) }), nil, "the daemon answers 500 Internal Server Error"},
		"no answer":     {hijacked(""), client.ErrCut, "cut before the answer; try again"},
		"cut":           {hijacked(good + "Content-Length: 100\r\n\r\n{"), client.ErrCut, "the daemon ended or restarts; try again"},
		"malformed":     {hijacked(good + "Content-Length: 5\r\n\r\n{\"a\":"), client.ErrMalformed, "cannot be read"},
		"other types":   {hijacked(good + "Content-Length: 12\r\n\r\n{\"targets\":{"), client.ErrMalformed, "cannot be read"},
		"endless": {speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write([]byte(strings.Repeat(" ", 4096))); err != nil {
					return
				}
			}
		}), client.ErrTooLarge, "more than 100000 bytes; ask for less"},
		"endless header": {speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}), nil, "cannot be reached"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := against(t, tt.h, func(o *client.Options) { o.MaxBytes = 100_000 })
			_, err := c.Status(context.Background())
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) {
				t.Errorf("%v is not %v", err, tt.kind)
			}
			var p *api.Problem
			if as := errors.As(err, &p); as != (name[0] >= '4' && name[0] <= '5') && tt.kind != client.ErrTooOld {
				t.Errorf("a problem: %v (%v)", as, err)
			}
			for _, err = range c.Events(context.Background(), false) {
				break
			}
			if tt.kind != nil && tt.kind != client.ErrMalformed && tt.kind != client.ErrTooLarge && !errors.Is(err, tt.kind) {
				t.Errorf("the stream says %v, not %v", err, tt.kind)
			}
		})
	}
}

// TestOlder: a daemon that does not know what is asked of it is said to be older, with
// its version, whatever version of the API it speaks.
func TestOlder(t *testing.T) {
	for name, detail := range map[string]string{"field": "not a field of this version, 1.0; leave it out", "parameter": "not a parameter that is known; allowed: sort"} {
		for told, want := range map[bool]string{true: ", version 1.2.3 (revision 0123456789ab), is older", false: " is older"} {
			c := against(t, speaking(api.Version, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !strings.HasSuffix(r.URL.Path, "/info"):
					answer(w, http.StatusBadRequest, api.FieldError{Field: "/new", Detail: detail})
				case told:
					writeJSON(w, api.Info{Version: "1.2.3", Revision: "0123456789abcdef"})
				default:
					answer(w, http.StatusInternalServerError)
				}
			}))
			_, err := c.Targets(context.Background(), client.Query{})
			var p *api.Problem
			if !errors.Is(err, client.ErrTooOld) || !errors.As(err, &p) || !strings.HasSuffix(err.Error(), want+" than this program and does not know new; upgrade the daemon") {
				t.Errorf("%s: %v", name, err)
			}
			for _, err := range c.Probe(context.Background(), api.ProbeRequest{}) {
				if !errors.Is(err, client.ErrTooOld) {
					t.Errorf("%s, a stream: %v", name, err)
				}
			}
		}
	}
}

// TestNobody: where nobody listens, the error says what to do.
func TestNobody(t *testing.T) {
	dir := t.TempDir()
	plain, stale := filepath.Join(dir, "file"), filepath.Join(dir, "stale")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port.Close()
	for name, tt := range map[string]struct {
		o    client.Options
		kind error
		want string
	}{
		"no socket": {client.Options{Socket: filepath.Join(dir, "none")}, client.ErrNotRunning, "there is no such socket; start one"},
		"a file":    {client.Options{Socket: plain}, client.ErrForeign, "is no socket"},
		"stale":     {client.Options{Socket: stale}, client.ErrNotRunning, "nobody listens on the socket any more; start one"},
		"no port":   {client.Options{Server: "http://" + port.Addr().String()}, client.ErrNotRunning, "api.listen"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.RetryFor = -1
			_, err := connect(t, tt.o).Info(context.Background())
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q and %v", err, tt.want, tt.kind)
			}
		})
	}
}

// TestRetries: calls that ask are tried again, those that change only where the
// daemon did not look at them, and nothing is tried for longer than it was asked for.
func TestRetries(t *testing.T) {
	var calls atomic.Int32
	for name, tt := range map[string]struct {
		fail      http.HandlerFunc // the first time
		ask, send int32            // how many times each arrives
	}{
		"503":      {problem(503), 2, 1},
		"429":      {problem(429), 2, 2},
		"cut":      {hijacked(good + "Content-Length: 100\r\n\r\n{"), 2, 1},
		"400":      {problem(400), 1, 1},
		"foreign":  {func(http.ResponseWriter, *http.Request) {}, 1, 1},
		"too long": {retryAfter("3600"), 1, 1},
		"at once":  {retryAfter("0"), 2, 1},
		"a date":   {retryAfter("Fri, 31 Dec 1999 23:59:59 GMT"), 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := against(t, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					tt.fail(w, r)
					return
				}
				speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, struct{}{}) })(w, r)
			}, func(o *client.Options) { o.RetryFor = time.Minute }) // the second attempt must not be too late on a busy machine
			calls.Store(0)
			if _, err := c.Status(context.Background()); (err == nil) != (tt.ask == 2) || calls.Load() != tt.ask {
				t.Errorf("GET: %d times: %v", calls.Load(), err)
			}
			calls.Store(0)
			if err := c.Stop(context.Background()); (err == nil) != (tt.send == 2) || calls.Load() != tt.send {
				t.Errorf("POST: %d times: %v", calls.Load(), err)
			}
			calls.Store(0)
			if err := c.RemoveTarget(context.Background(), "x", "me"); (err == nil) != (tt.send == 2) || calls.Load() != tt.send {
				t.Errorf("DELETE: %d times: %v", calls.Load(), err)
			}
		})
	}
}

func retryAfter(text string) http.HandlerFunc {
	return speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", text)
		answer(w, http.StatusServiceUnavailable)
	})
}

// TestRestart: a daemon that is just being restarted is waited for.
func TestRestart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	go func() {
		time.Sleep(50 * time.Millisecond)
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Error(err)
			return
		}
		s := &http.Server{Handler: speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, api.Info{Name: "netprobe-xdp"}) })}
		t.Cleanup(func() { s.Close() })
		_ = s.Serve(l)
	}()
	if i, err := connect(t, client.Options{Socket: socket}).Info(context.Background()); err != nil || i.Name != "netprobe-xdp" {
		t.Error(i, err)
	}
}

// TestContext: a call ends with its context, whatever the server does.
func TestContext(t *testing.T) {
	slow := speaking(api.Version, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = io.Copy(io.Discard, r.Body) // only then does a server notice that the client goes
		<-r.Context().Done()
	})
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for name, h := range map[string]http.HandlerFunc{"no header": silent, "no body": slow, "always busy": problem(503)} {
		t.Run(name, func(t *testing.T) {
			c := against(t, h, func(o *client.Options) { o.RetryFor = time.Hour })
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Status: %v", err)
			}
			ctx, cancel = context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			for _, err := range c.Probe(ctx, api.ProbeRequest{}) {
				if !errors.Is(err, context.Canceled) && name != "always busy" {
					t.Errorf("Probe: %v", err)
				}
			}
			cancel()
			quick := against(t, h, func(o *client.Options) { o.Timeout, o.RetryFor = 50*time.Millisecond, -1 })
			if _, err := quick.Status(context.Background()); !errors.Is(err, context.DeadlineExceeded) && name != "always busy" {
				t.Errorf("Status, with a timeout: %v", err)
			}
			if name == "no body" {
				return // a stream that has begun may be silent for longer
			}
			for _, err := range quick.Events(context.Background(), true) {
				if err == nil || strings.Contains(err.Error(), "\n") {
					t.Errorf("Events, with a timeout: %v", err)
				}
			}
		})
	}
}

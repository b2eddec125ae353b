// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/guard"
)

// page stands for the metrics.
var page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "figures\n") })

func fine() error { return nil }

// options are those of a server whose state is good.
func options() Options {
	return Options{Page: page, Healthy: fine, Ready: fine, Log: slog.New(slog.DiscardHandler)}
}

// serve runs a server on a free loopback port until the test ends.
func serve(t *testing.T, opt Options) *Server {
	t.Helper()
	s := New(opt)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return s
}

// ask sends a request by a connection of its own.
func ask(t *testing.T, method, url string, set func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(r)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestRoutes(t *testing.T) {
	opt := options()
	var wrong error
	opt.Healthy = func() error { return wrong }
	opt.Ready = opt.Healthy
	url := serve(t, opt).URL("")

	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/metrics", 200, "figures\n"},
		{"HEAD", "/metrics", 200, ""},
		{"GET", "/-/healthy", 200, "healthy\n"},
		{"GET", "/-/ready", 200, "ready\n"},
		{"POST", "/metrics", 405, "Method Not Allowed\n"},
		{"POST", "/", 405, "Method Not Allowed\n"},
		{"POST", "/-/healthy", 405, "Method Not Allowed\n"},
		{"GET", "/nothing", 404, "404 page not found\n"},
	} {
		res, body := ask(t, c.method, url+c.path, nil)
		if res.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: %s %q", c.method, c.path, res.Status, body)
		}
		if allow := res.Header.Get("Allow"); c.status == 405 && allow != "GET, HEAD" {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
	}
	if res, body := ask(t, "GET", url+"/", nil); res.StatusCode != 200 || !strings.Contains(body, "/metrics") {
		t.Errorf("GET /: %s %q", res.Status, body)
	}
	if res, _ := ask(t, "GET", url+"/metrics", func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 64<<10)) }); res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: %s", res.Status)
	}

	wrong = errors.New("this and that")
	for path, want := range map[string]string{"/-/healthy": "not healthy: this and that\n", "/-/ready": "not ready: this and that\n"} {
		if res, body := ask(t, "GET", url+path, nil); res.StatusCode != 503 || body != want {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
	}
}

func TestBasicAuth(t *testing.T) {
	t.Setenv("PROM_USER", "prom")
	t.Setenv("PROM_PASSWORD", "secret")
	opt := options()
	opt.Credentials = CredentialsFromEnv()
	url := serve(t, opt).URL("")
	for _, path := range []string{"/metrics", "/-/healthy", "/-/ready", "/"} {
		for _, c := range []struct {
			user, password string
			want           int
		}{
			{"prom", "secret", 200}, {"prom", "wrong", 401}, {"other", "secret", 401}, {"prom", "", 401}, {"", "", 401}, {"prom", "secretx", 401},
		} {
			res, body := ask(t, "GET", url+path, func(r *http.Request) {
				if c.user != "" {
					r.SetBasicAuth(c.user, c.password)
				}
			})
			if res.StatusCode != c.want {
				t.Errorf("%s, %s:%s: %s, want %d", path, c.user, c.password, res.Status, c.want)
			}
			if c.want == 401 && (body != "Unauthorized Access" || res.Header.Get("WWW-Authenticate") != `Basic realm="Authentication Required"`) {
				t.Errorf("%s, %s:%s: body %q, header %q", path, c.user, c.password, body, res.Header.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestHalfSetCredentialsAreSaid(t *testing.T) {
	for _, c := range []struct {
		in   Credentials
		said bool
	}{{Credentials{}, false}, {Credentials{"u", "p"}, false}, {Credentials{"u", ""}, true}, {Credentials{"", "p"}, true}} {
		var b bytes.Buffer
		opt := options()
		opt.Credentials, opt.Log = c.in, slog.New(slog.NewTextHandler(&b, nil))
		New(opt)
		if strings.Contains(b.String(), "PROM_PASSWORD") != c.said {
			t.Errorf("%+v: log %q", c.in, b.String())
		}
	}
}

func TestListenFaults(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for _, c := range []struct {
		addr, says string
		code       int
	}{
		{held.Addr().String(), "prometheus_port", exitcode.Unavailable},
		{"192.0.2.1:0", "prometheus_address", exitcode.Unavailable},
		{"127.0.0.1:99999", "prometheus_port", exitcode.Unavailable},
	} {
		s := New(options())
		err := s.Listen(c.addr)
		if exitcode.Of(err) != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: exit code %d, %v", c.addr, exitcode.Of(err), err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing what listens nowhere: %v", err)
		}
	}
}

// A port below 1024 needs a capability. The thread that lacks it is in a fresh
// network namespace, where no setting of the host lifts that, and ends with its
// goroutine.
func TestListenWithoutPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root: makes a network namespace and drops a capability in it")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("new network namespace: %w", err)
			}
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var none [2]unix.CapUserData
			if err := unix.Capset(&header, &none[0]); err != nil {
				return fmt.Errorf("drop capabilities: %w", err)
			}
			return New(options()).Listen("0.0.0.0:1")
		}()
	}()
	err := <-done
	if exitcode.Of(err) != exitcode.NoPermission || !strings.Contains(err.Error(), "prometheus_port") {
		t.Errorf("exit code %d, %v", exitcode.Of(err), err)
	}
}

// A context that is over before Serve begins ends it at once; so does Close a
// server that never served. The port is free again each time.
func TestEnds(t *testing.T) {
	s := New(options())
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		again := New(options())
		if err := again.Listen(s.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Of many scrapes at once, so many are answered at a time; who waits for too
// long is told.
func TestTurnstile(t *testing.T) {
	leave := make(chan struct{})
	inside := make(chan struct{}, 2*maxScrapes)
	turns := inTurn(guard.NewTurns(maxScrapes, 50*time.Millisecond), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		inside <- struct{}{}
		<-leave
		io.WriteString(w, "figures\n")
	}))
	opt := options()
	s := New(opt)
	s.http.Handler = turns
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	answers := make(chan int, maxScrapes)
	for range maxScrapes {
		go func() {
			res, _ := ask(t, "GET", s.URL("/metrics"), nil)
			answers <- res.StatusCode
		}()
		<-inside
	}
	if res, body := ask(t, "GET", s.URL("/metrics"), nil); res.StatusCode != 503 || !strings.Contains(body, "too many scrapes") || res.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s %q", res.Status, body)
	}
	close(leave)
	for range maxScrapes {
		if code := <-answers; code != 200 {
			t.Errorf("a scrape that had its turn: %d", code)
		}
	}
	if res, _ := ask(t, "GET", s.URL("/metrics"), nil); res.StatusCode != 200 {
		t.Errorf("afterwards: %s", res.Status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Connections beyond the limit take the place of one that waits for a request. That
// it is the one that has waited for the longest is internal/guard's to show: here the
// server may hear late that an answer has been taken.
func TestConnections(t *testing.T) {
	s := serve(t, options())
	served := func(c net.Conn) error {
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return errors.Join(err, res.Body.Close())
	}
	var all []net.Conn
	for range guard.MaxConnections + 1 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := served(c); err != nil {
			t.Fatalf("connection %d, with all others waiting for a request: %v", len(all)+1, err)
		}
		all = append(all, c)
	}
	var gone []int
	for i, c := range all {
		if err := served(c); err != nil {
			gone = append(gone, i)
		}
	}
	if len(gone) != 1 || gone[0] == guard.MaxConnections {
		t.Errorf("of %d connections those are gone: %v, want one, not the newest", len(all), gone)
	}
}

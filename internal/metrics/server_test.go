// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// serve runs a server on a free loopback port until the test ends, and returns
// its URL.
func serve(t *testing.T, page http.Handler, c Credentials) string {
	t.Helper()
	s := NewServer(page, c, slog.New(slog.DiscardHandler))
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
	return "http://" + s.Addr().String()
}

// ask sends a request without any automatic decompression.
func ask(t *testing.T, method, url string, set func(*http.Request)) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

func TestServer(t *testing.T) {
	url := serve(t, New(sample()), Credentials{User: "half set"})

	res, plain := ask(t, "GET", url+"/metrics", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("GET /metrics: %s %v", res.Status, res.Header)
	}
	parse(t, string(plain))

	res, packed := ask(t, "GET", url+"/metrics", func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Type") != ContentType {
		t.Errorf("GET /metrics with gzip: %v", res.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || stable(string(unpacked)) != stable(string(plain)) {
		t.Errorf("the compressed page is not the plain one (%v)", err)
	}

	res, body := ask(t, "HEAD", url+"/metrics", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != ContentType || len(body) != 0 {
		t.Errorf("HEAD /metrics: %s %v", res.Status, res.Header)
	}
	for _, path := range []string{"/metrics", "/"} {
		res, _ = ask(t, "POST", url+path, nil)
		if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %s, Allow %q", path, res.Status, res.Header.Get("Allow"))
		}
	}
	res, body = ask(t, "GET", url+"/", nil)
	if res.StatusCode != 200 || !strings.Contains(string(body), "/metrics") {
		t.Errorf("GET /: %s %q", res.Status, body)
	}
	if res, _ = ask(t, "GET", url+"/nothing", nil); res.StatusCode != 404 {
		t.Errorf("GET /nothing: %s", res.Status)
	}
	res, _ = ask(t, "GET", url+"/metrics", func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 64<<10)) })
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: %s", res.Status)
	}
}

func TestBasicAuth(t *testing.T) {
	t.Setenv("PROM_USER", "prom")
	t.Setenv("PROM_PASSWORD", "secret")
	url := serve(t, New(sample()), CredentialsFromEnv())
	for _, c := range []struct {
		user, password string
		want           int
	}{
		{"prom", "secret", 200}, {"prom", "wrong", 401}, {"other", "secret", 401}, {"prom", "", 401}, {"", "", 401}, {"prom", "secretx", 401},
	} {
		res, body := ask(t, "GET", url+"/metrics", func(r *http.Request) {
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
		})
		if res.StatusCode != c.want {
			t.Errorf("%s:%s: %s, want %d", c.user, c.password, res.Status, c.want)
		}
		if c.want == 401 && (string(body) != "Unauthorized Access" || res.Header.Get("WWW-Authenticate") != `Basic realm="Authentication Required"`) {
			t.Errorf("%s:%s: body %q, header %q", c.user, c.password, body, res.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestHalfSetCredentialsAreSaid(t *testing.T) {
	for _, c := range []struct {
		in   Credentials
		said bool
	}{{Credentials{}, false}, {Credentials{"u", "p"}, false}, {Credentials{"u", ""}, true}, {Credentials{"", "p"}, true}} {
		var b bytes.Buffer
		NewServer(http.NotFoundHandler(), c.in, slog.New(slog.NewTextHandler(&b, nil)))
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
		s := NewServer(http.NotFoundHandler(), Credentials{}, nil)
		err := s.Listen(c.addr)
		if exitcode.Of(err) != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: exit code %d, %v", c.addr, exitcode.Of(err), err)
		}
	}
}

// A port below 1024 needs a capability. The thread that lacks it is in a fresh
// network namespace, where no setting of the host lifts that, and ends with its
// goroutine.
func TestListenWithoutPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "needs root: makes a network namespace and drops a capability in it")
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
			return NewServer(http.NotFoundHandler(), Credentials{}, nil).Listen("0.0.0.0:1")
		}()
	}()
	err := <-done
	if exitcode.Of(err) != exitcode.NoPermission || !strings.Contains(err.Error(), "prometheus_port") {
		t.Errorf("exit code %d, %v", exitcode.Of(err), err)
	}
}

// A context that is over before Serve begins ends it at once, and the port is
// free again.
func TestServeEndsWithItsContext(t *testing.T) {
	s := NewServer(http.NotFoundHandler(), Credentials{}, nil)
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	again := NewServer(http.NotFoundHandler(), Credentials{}, nil)
	if err := again.Listen(s.Addr().String()); err != nil {
		t.Fatal(err)
	}
	again.listener.Close()
}

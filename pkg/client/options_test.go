// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// TestToken: it goes to the server, not to where that leads, and its faults are
// told apart.
func TestToken(t *testing.T) {
	h := speaking(api.Version, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			answer(w, 401)
			return
		}
		writeJSON(w, api.Status{})
	})
	for token, want := range map[string]string{"secret": "", "": "asks for a token", "wrong": "the token is wrong"} {
		c := against(t, h, func(o *client.Options) { o.Token = token })
		_, err := c.Status(context.Background())
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || !errors.Is(err, client.ErrUnauthorized) || strings.Contains(err.Error(), "wrong\"")) {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, api.Info{Name: "n"}) }))
	defer s.Close()
	s.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	if i, err := connect(t, client.Options{Server: s.URL, TLS: &tls.Config{RootCAs: pool}}).Info(context.Background()); err != nil || i.Name != "n" {
		t.Error(i, err)
	}
	_, err := connect(t, client.Options{Server: s.URL}).Info(context.Background())
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
	if _, err = connect(t, client.Options{Server: s.URL, RetryFor: -1}).Info(context.Background()); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("an authority that nobody knows: %v", err)
	}
	_, err = connect(t, client.Options{Server: "http" + strings.TrimPrefix(s.URL, "https")}).Info(context.Background())
	if !errors.Is(err, client.ErrForeign) {
		t.Errorf("http to https: %v", err)
	}
	c := against(t, problem(404), func(o *client.Options) { o.Server = "https" + strings.TrimPrefix(o.Server, "http") })
	if _, err := c.Info(context.Background()); err == nil || !strings.Contains(err.Error(), "begin the URL with http://") {
		t.Errorf("https to http: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []client.Options{
		{Socket: "/s", Server: "http://x"}, {Server: "x:80"}, {Server: "ftp://x"}, {Server: "http://"}, {Server: "http://x/path"},
		{Server: "http://user:secret@x"}, {Server: "http://x?q"}, {Server: "http://[::1"}, {Server: "\x7f"},
	} {
		if _, err := client.New(o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, server := range []string{"http://x", "https://[2001:db8::1]:8001", "http://127.0.0.1:8001/"} {
		if _, err := client.New(client.Options{Server: server}); err != nil {
			t.Error(err)
		}
	}
}

// TestNames: every name of a target reaches the server as it is.
func TestNames(t *testing.T) {
	var got atomic.Value
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.Prefix+"/targets/{name}", func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.PathValue("name"))
		writeJSON(w, api.TargetDetail{})
	})
	mux.HandleFunc("POST "+api.Prefix+"/targets/{name}/pause", func(_ http.ResponseWriter, r *http.Request) { got.Store(r.PathValue("name")) })
	c := against(t, speaking(api.Version, mux.ServeHTTP))
	for _, name := range []string{"web", "a/b", "../x", ".", "..", "a b", "é\u2028", "%2F", "?x=1#y", "a;b", "\x1b[2J", "\xff"} {
		if _, err := c.Target(context.Background(), name); err != nil || got.Load() != name {
			t.Errorf("%q arrives as %q: %v", name, got.Load(), err)
		}
		got.Store("")
		if err := c.Pause(context.Background(), name, api.Pause{}); err != nil || got.Load() != name {
			t.Errorf("pause: %q arrives as %q: %v", name, got.Load(), err)
		}
	}
}

// TestEachTarget: all pages are read, a limit is kept, and a loop may be left.
func TestEachTarget(t *testing.T) {
	const total = 2500
	c := against(t, speaking(api.Version, func(w http.ResponseWriter, r *http.Request) {
		var limit, offset int
		fmt.Sscan(r.FormValue("limit"), &limit)
		fmt.Sscan(r.FormValue("offset"), &offset)
		page := api.Targets{Total: total}
		for i := offset; i < min(total, offset+limit); i++ {
			page.Targets = append(page.Targets, api.Target{Name: fmt.Sprint(i)})
		}
		writeJSON(w, page)
	}))
	for limit, want := range map[int]int{0: total, 7: 7, 1000: 1000, 1001: 1001, 9999: total} {
		n := 0
		for target, err := range c.EachTarget(context.Background(), client.Query{Limit: limit}) {
			if err != nil || target.Name != fmt.Sprint(n) {
				t.Fatal(target, err)
			}
			n++
		}
		if n != want {
			t.Errorf("limit %d: %d targets, want %d", limit, n, want)
		}
	}
	for range c.EachTarget(context.Background(), client.Query{}) {
		break
	}
}

// TestState: a daemon that is not healthy is an answer, not a failure.
func TestState(t *testing.T) {
	c := against(t, speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		writeJSON(w, api.State{Reason: "a worker is late"})
	}))
	if s, err := c.Health(context.Background()); err != nil || s.OK || s.Reason == "" {
		t.Error(s, err)
	}
}

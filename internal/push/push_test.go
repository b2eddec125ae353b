// SPDX-License-Identifier: Apache-2.0

package push

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// patience bounds every wait for something that takes moments on an idle
// machine.
const patience = time.Minute

// hidden is what must not be in the log.
const hidden = "hunter2"

// numbered returns pages with the numbers from 1 on.
func numbered() Page {
	n := 0
	return func(w io.Writer) error {
		n++
		z := gzip.NewWriter(w)
		fmt.Fprintf(z, "page %d\n", n)
		return z.Close()
	}
}

// settings push to a server; tests make pages themselves.
func settings(url string) config.Push {
	return config.Push{URL: url + "/api/v1/import/prometheus?authKey=" + hidden, Interval: time.Hour, Timeout: patience, Buffer: 1 << 20}
}

func pusher(t *testing.T, s config.Push) (*Pusher, *lab.Buffer) {
	t.Helper()
	log := new(lab.Buffer)
	p := New(numbered(), slog.New(slog.NewTextHandler(log, nil)))
	p.Configure(s, "probe1")
	t.Cleanup(func() {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("a secret is in the log:\n%s", log)
		}
	})
	return p, log
}

// request is one that a server got.
type request struct {
	method string
	header http.Header
	query  url.Values
	body   string
}

// server answers with the statuses in turn, the last for ever.
func server(t *testing.T, answer http.HandlerFunc) (url string, got func() []request) {
	t.Helper()
	var mu sync.Mutex
	var all []request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(z)
		}
		mu.Lock()
		all = append(all, request{r.Method, r.Header, r.URL.Query(), string(body)})
		mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []request {
		mu.Lock()
		defer mu.Unlock()
		return append([]request(nil), all...)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// A page arrives whole, with its time, its labels and the credentials.
func TestRequest(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(hidden+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		set    func(*config.Push)
		auth   string
		labels []string
	}{
		"plain":      {func(*config.Push) {}, "", []string{"job=netprobe-xdp", "instance=probe1"}},
		"basic":      {func(s *config.Push) { s.User, s.Password = "me", secret.New(hidden) }, "Basic bWU6aHVudGVyMg==", nil},
		"basic file": {func(s *config.Push) { s.User, s.Password = "me", secret.InFile(secretFile) }, "Basic bWU6aHVudGVyMg==", nil},
		"token":      {func(s *config.Push) { s.BearerToken = secret.New(hidden) }, "Bearer hunter2", nil},
		"token file": {func(s *config.Push) { s.BearerToken = secret.InFile(secretFile) }, "Bearer hunter2", nil},
		"labels": {func(s *config.Push) {
			s.URL += "&extra_label=a=b"
			s.ExtraLabels = []string{"instance=x", "site=a=b & c"}
			s.Headers = []secret.Text{secret.New("X-Scope-Orgid: " + hidden)}
		}, "", []string{"a=b", "instance=x", "site=a=b & c", "job=netprobe-xdp"}},
	} {
		t.Run(name, func(t *testing.T) {
			url, got := server(t, status(204))
			s := settings(url)
			c.set(&s)
			p, _ := pusher(t, s)
			before := time.Now().UnixMilli()
			p.make()
			if _, any, err := p.attempt(t.Context()); !any || err != nil {
				t.Fatal(any, err)
			}
			all := got()
			if len(all) != 1 || all[0].method != "POST" || all[0].body != "page 1\n" || all[0].header.Get("Authorization") != c.auth || all[0].query.Get("authKey") != hidden {
				t.Errorf("got %+v", all)
			}
			if ms, err := strconv.ParseInt(all[0].query.Get("timestamp"), 10, 64); err != nil || ms < before || ms > time.Now().UnixMilli() {
				t.Errorf("timestamp %q", all[0].query["timestamp"])
			}
			if c.labels != nil {
				if diff := cmp.Diff(c.labels, all[0].query["extra_label"]); diff != "" {
					t.Error(diff)
				}
			}
			if name == "labels" && all[0].header.Get("X-Scope-OrgID") != hidden {
				t.Errorf("header %v", all[0].header)
			}
			if st := p.Stats(); st != (Stats{Active: true, Delivered: 1}) {
				t.Errorf("%+v", st)
			}
		})
	}
}

// Each kind of failure is one line with what to do; the page is kept, unless
// the server will never have it.
func TestFailures(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var circle string
	circle, circled := server(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, circle+"/again?secret="+hidden, http.StatusMovedPermanently)
	})
	for name, c := range map[string]struct {
		url   string
		code  int
		set   func(*config.Push)
		says  []string
		final bool
		after time.Duration
	}{
		"500":       {code: 500, says: []string{"answers 500 Internal Server Error (the reason)", "see its log"}},
		"503":       {code: 503, says: []string{"answers 503"}, after: 7 * time.Second},
		"429":       {code: 429, says: []string{"raise push.interval"}, after: 7 * time.Second},
		"400":       {code: 400, says: []string{"refuses a page with 400 Bad Request (the reason)", "the page is dropped"}, final: true},
		"401":       {code: 401, says: []string{"check push.user"}},
		"404":       {code: 404, says: []string{"check push.url"}},
		"circle":    {url: circle, says: []string{"answers 301 Moved Permanently and leads to " + circle + "/again;", "set push.url"}},
		"refused":   {url: closed.URL, says: []string{"connection refused", "check that it runs, and push.url"}},
		"silent":    {url: "http://" + silent.Addr().String(), set: func(s *config.Push) { s.Timeout = 50 * time.Millisecond }, says: []string{"does not answer within 50ms", "push.timeout"}},
		"no secret": {url: closed.URL, set: func(s *config.Push) { s.BearerToken = secret.InFile("/nowhere") }, says: []string{"push.bearer_token_file: read the secret: open /nowhere: no such file or directory; make it readable"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.code != 0 {
				c.url, _ = server(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(c.code)
					fmt.Fprint(w, "the\n reason\x1b\n", strings.Repeat(" ", 1<<20), "not read")
				})
			}
			s := settings(c.url)
			if c.set != nil {
				c.set(&s)
			}
			p, log := pusher(t, s)
			p.make()
			for range 3 {
				after, _, _ := p.attempt(t.Context())
				if c.after != 0 && after != c.after {
					t.Errorf("asked to wait for %v", after)
				}
			}
			st := p.Stats()
			if want := (Stats{Active: true, Refused: 1}); c.final && st != want || !c.final && (st.Failed != 3 || st.Pages != 1 || st.Refused != 0) {
				t.Errorf("%+v", st)
			}
			text := log.String()
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			if strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") || len(text) > 1000 {
				t.Errorf("log:\n%s", text)
			}
		})
	}
	if n := len(circled()); n != 3 {
		t.Errorf("%d requests for 3 attempts: a redirection was followed", n)
	}
}

// While the server fails, pages wait up to the bound and the oldest are
// dropped; then the others arrive in order, each with its own time, and a
// person reads how it began and how it ended.
func TestBuffer(t *testing.T) {
	down := true
	url, got := server(t, func(w http.ResponseWriter, r *http.Request) {
		if down {
			w.WriteHeader(503)
		}
	})
	s := settings(url)
	p, log := pusher(t, s)
	p.make()
	size := p.Stats().Bytes
	s.Buffer = 5*size + size/2
	p.Configure(s, "probe1")
	for range 9 {
		p.make()
		if _, _, err := p.attempt(t.Context()); err == nil {
			t.Fatal("was delivered")
		}
	}
	if st := p.Stats(); st.Pages != 5 || st.Bytes > s.Buffer || st.Full != 5 || st.Failed != 9 {
		t.Errorf("%+v", st)
	}
	failed := len(got())
	down = false
	for {
		if _, any, err := p.attempt(t.Context()); err != nil {
			t.Fatal(err)
		} else if !any {
			break
		}
	}
	var bodies []string
	var times []string
	for _, r := range got()[failed:] {
		bodies, times = append(bodies, r.body), append(times, r.query.Get("timestamp"))
	}
	if diff := cmp.Diff([]string{"page 6\n", "page 7\n", "page 8\n", "page 9\n", "page 10\n"}, bodies); diff != "" {
		t.Error(diff)
	}
	if times[0] > times[4] {
		t.Errorf("times %v", times)
	}
	if st := p.Stats(); st != (Stats{Active: true, Delivered: 5, Failed: 9, Full: 5}) {
		t.Errorf("%+v", st)
	}
	text := log.String()
	for _, want := range []string{"answers 503", "push.buffer is full", "works again\" waiting=4 dropped=5"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("want one line with %q:\n%s", want, text)
		}
	}

	s.Buffer = 3
	p.Configure(s, "probe1")
	p.make()
	if st := p.Stats(); st.Full != 6 || st.Pages != 0 || !strings.Contains(log.String(), "larger than push.buffer") {
		t.Errorf("a page that is too large: %+v\n%s", st, log)
	}
}

// Run makes a page at each interval, tries again by itself, follows other
// settings at once, and delivers what is left at its end.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	fail := 1
	url, got := server(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if fail--; fail >= 0 {
			w.WriteHeader(500)
		}
	})
	s := settings(url)
	s.Interval = 10 * time.Millisecond
	p, _ := pusher(t, config.Push{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.Run(ctx) }()
	p.Configure(s, "probe1")
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("still not: %s; %+v", what, p.Stats())
			}
		}
	}
	until("delivered after a failure", func() bool { st := p.Stats(); return st.Failed == 1 && st.Delivered > 3 })

	other, gotThere := server(t, status(204))
	elsewhere := settings(other)
	elsewhere.Interval = 10 * time.Millisecond
	p.Configure(elsewhere, "probe2")
	until("pushed elsewhere", func() bool { return len(gotThere()) > 3 })
	elsewhere.Interval = time.Hour
	p.Configure(elsewhere, "probe2")
	cancel()
	<-ended
	st := p.Stats()
	if st.Pages != 0 || int(st.Delivered) != len(got())-1+len(gotThere()) {
		t.Errorf("%+v, got %d and %d", st, len(got()), len(gotThere()))
	}
	last := gotThere()[len(gotThere())-1]
	if want := fmt.Sprintf("page %d\n", st.Delivered); last.body != want || last.query["extra_label"][1] != "instance=probe2" {
		t.Errorf("the last is %+v, want %q", last, want)
	}
}

// Without a URL nothing is made, and what waits is given up.
func TestSwitchedOff(t *testing.T) {
	p, _ := pusher(t, settings("http://127.0.0.1:1"))
	p.make()
	if st := p.Stats(); st.Pages != 1 {
		t.Errorf("%+v", st)
	}
	p.Configure(config.Push{}, "probe1")
	p.make()
	if st := p.Stats(); st != (Stats{}) {
		t.Errorf("%+v", st)
	}
}

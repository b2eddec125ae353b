// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	apiclient "github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// holding starts a daemon that holds an interface, with its socket where probe looks
// for one.
func holding(t *testing.T, e *lab.End) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "netprobe-xdp-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "api.sock")
	config := file(t, "netprobe.yaml", global(usual)+groups+targets(`own: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 1}`))
	p := place{host: e.Host, env: []string{"NETPROBE_API__SOCKET=" + socket}}.start(t, "run", "--iface", e.Name, "--config", config)
	p.waitFor("msg=probing")
	return socket
}

// TestProbeBesideDaemon: probe finds the daemon that holds the interface in this very
// network namespace. What it is told is right, and the daemon's own figures have nothing
// of it.
func TestProbeBesideDaemon(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	c, _ := pair(t)
	if a.Name != c.Name {
		t.Fatalf("the interfaces are called %s and %s", a.Name, c.Name)
	}
	b.AddAddr("192.0.2.3/24")
	first, second := holding(t, a), holding(t, c)

	// b has 192.0.2.3, the other far end has not.
	for name, tt := range map[string]struct {
		where  place
		netns  []string
		socket string
		code   int
	}{
		"here":                  {place{host: a.Host}, nil, first, exitcode.OK},
		"of the same name":      {place{host: c.Host}, nil, second, exitcode.ProbeSilent},
		"by --netns":            {place{}, []string{"--netns", a.Host.Netns}, first, exitcode.OK},
		"by --netns, elsewhere": {place{host: a.Host}, []string{"--netns", c.Host.Netns}, second, exitcode.ProbeSilent},
	} {
		args := append([]string{"probe", "--iface", a.Name, "-c", "5", "-i", "20ms", "-W", "300ms", "-o", "json", "192.0.2.3"}, tt.netns...)
		got := tt.where.run(t, args...)
		var doc struct {
			Total api.Summary `json:"total"`
		}
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Errorf("%s: %v in %+v", name, err, got)
		}
		lost := uint64(0)
		if tt.code != exitcode.OK {
			lost = 5
		}
		if s := doc.Total; got.code != tt.code || !strings.Contains(got.stderr, "the daemon on "+tt.socket+" probes") || s.Sent != 5 || s.Lost != lost || s.Answered != 5-lost || (lost == 0) != (s.RoundTrip != nil) {
			t.Errorf("%s: %+v\n%+v", name, got, doc.Total)
		}
	}

	// A socket that is named, by flag or environment, is asked, and has to have the interface
	// that is.
	iface := []string{"--iface", a.Name}
	for name, tt := range map[string]struct {
		env, flag string
		more      []string
		want      string
	}{
		"by flag":                {"", first, iface, ""},
		"by environment":         {first, "", iface, ""},
		"flag before it":         {"/nowhere/api.sock", first, nil, ""},
		"nobody there":           {"/nowhere/api.sock", "", iface, "no netprobe-xdp at /nowhere/api.sock"},
		"another interface":      {first, "", []string{"--iface", "lo"}, "has no interface lo, but " + a.Name},
		"elsewhere, by its name": {second, "", iface, "is in another network namespace"},
	} {
		w := place{host: a.Host}
		args := append([]string{"probe", "-c", "1", "-q", "192.0.2.3"}, tt.more...)
		if tt.env != "" {
			w.env = []string{"NETPROBE_API_SOCKET=" + tt.env}
		}
		if tt.flag != "" {
			args = append(args, "--socket", tt.flag)
		}
		got := w.run(t, args...)
		if (got.code == exitcode.OK) != (tt.want == "") || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, cmp.Or(tt.want, "the daemon on "+first+" probes")) {
			t.Errorf("%s: %+v", name, got)
		}
	}

	// The caps are the daemon's, whatever is allowed here.
	for _, tt := range [][]string{
		{"192.0.2.0/25", "--rate", "15k", "--rate: 15000 probes/s are asked for; safety.max_prefix_pps"},
		{"192.0.2.3", "198.18.0.0/16", "--rate", "50k", "--rate: 50000 probes/s are asked for; safety.max_pps"},
		{"127.0.0.1", "carried out: 127.0.0.1: 127.0.0.1 is in"},
	} {
		got := place{host: a.Host}.run(t, append([]string{"probe", "--iface", a.Name, "--allow-rate", "-c", "1"}, tt[:len(tt)-1]...)...)
		if got.code != exitcode.ProbeUsage || !strings.Contains(got.stderr, tt[len(tt)-1]) {
			t.Errorf("%s: %+v", tt, got)
		}
	}

	// Ctrl-C gives the sums of what is known, with single lines or without.
	for _, more := range [][]string{nil, {"-q"}} {
		p := place{host: a.Host}.start(t, append([]string{"probe", "--iface", a.Name, "-c", "1000", "-i", "20ms", "192.0.2.3"}, more...)...)
		p.waitFor("probes, within")
		if more == nil {
			p.waitFor("seq=3 ")
		} else {
			before := status(t, first).Sent
			eventually(t, "two rounds of the daemon's own have passed", func() bool { return status(t, first).Sent >= before+20 })
		}
		code := p.signal(os.Interrupt)
		seen := p.stdout.String()
		if code != exitcode.OK || !regexp.MustCompile(`(?m)^192\.0\.2\.3 +192\.0\.2\.3 +\d+ +\d+ +0 +0% `).MatchString(seen) {
			t.Errorf("%s: code %d\n%s", more, code, seen)
		}
		if more != nil && strings.Contains(seen, "seq=") {
			t.Errorf("-q: %s", seen)
		}
	}

	text, err := fetch(a.Host, usual, "/metrics")
	if err != nil || strings.Contains(text, "192.0.2.3") {
		t.Errorf("%v; what was probed once is in the metrics", err)
	}
	page := measured(t, a.Host, usual, "icmp", "own")
	page.want(t, 0, "icmp_loss_ratio", "destination=own")
	if s := status(t, first); s.Lost != 0 || len(s.NotSent) != 0 || len(s.Unknown) != 0 {
		t.Errorf("the daemon's own: %+v", s)
	}
}

func status(t *testing.T, socket string) *api.Status {
	t.Helper()
	c, err := apiclient.New(apiclient.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestProbeRoutes: what is wrong with a request is said before any event, so many
// streams there are and no more, a client that goes makes room, and a round that is
// followed is told whole.
func TestProbeRoutes(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	socket := holding(t, a)
	door := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer door.CloseIdleConnections()
	send := func(ctx context.Context, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+api.Prefix+"/probe", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := door.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	const to = `{"type": "ICMPping", "destination": "192.0.2.2"}`
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{``, 400, "body"},
		{`{`, 400, ""},
		{`[]`, 400, ""},
		{`{"targets": [` + to + `], "count": 1} {}`, 400, "goes on"},
		{`{"targets": [], "count": 1}`, 400, "/targets"},
		{`{"targets": [` + to + `], "count": 0}`, 400, "/count"},
		{`{"targets": [` + to + `], "count": 1, "intervall": 1}`, 400, "intervall"},
		{`{"targets": [{"type": "ping", "destination": "192.0.2.2"}], "count": 1}`, 400, "/targets/0/type"},
		{`{"targets": [{"type": "TCPsyn", "destination": "192.0.2.2"}], "count": 1}`, 400, "/targets/0/dst_port"},
		{`{"targets": [` + to + `], "count": 1, "source_ports": [9, 8]}`, 400, "/source_ports"},
		{`{"targets": [{"type": "ICMPping", "destination": "0.0.0.0/0"}], "count": 1}`, 400, "/targets"},
		{`{"targets": [{"type": "ICMPping", "destination": "127.0.0.1"}], "count": 1}`, 422, "/targets/0/destination"},
		{`{"targets": [` + to + `], "count": 9000, "rate": 3000}`, 422, "/rate"},
		{`{"targets": [` + to + `], "count": 1}` + strings.Repeat(" ", 17<<20), 413, ""},
	} {
		answer := send(t.Context(), tt.body)
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != tt.status || answer.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(text), tt.says) {
			t.Errorf("%.80s: %d %s, %v; want %d and %q", tt.body, answer.StatusCode, text, err, tt.status, tt.says)
		}
	}

	// Four at a time. Who goes makes room.
	long := `{"targets": [` + to + `], "count": 1000, "interval_seconds": 0.1}`
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	for range 4 {
		answer := send(ctx, long)
		defer answer.Body.Close()
		if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || !strings.Contains(line, api.ProbeBegun) {
			t.Fatalf("%d: %q, %v", answer.StatusCode, line, err)
		}
	}
	fifth := send(t.Context(), long)
	fifth.Body.Close()
	if fifth.StatusCode != http.StatusTooManyRequests || fifth.Header.Get("Retry-After") == "" {
		t.Errorf("a fifth: %d, %v", fifth.StatusCode, fifth.Header)
	}
	hangUp()
	eventually(t, "there is room again", func() bool {
		answer := send(t.Context(), `{"targets": [`+to+`], "count": 1}`)
		defer answer.Body.Close()
		_, err := io.Copy(io.Discard, answer.Body)
		return err == nil && answer.StatusCode == http.StatusOK
	})

	c, err := apiclient.New(apiclient.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var problem *api.Problem
	for _, err := range c.Debug(t.Context(), "nobody") {
		if !errors.As(err, &problem) || problem.Status != http.StatusNotFound {
			t.Errorf("a target that there is not: %v", err)
		}
	}
	kinds, why, done := map[string]int{}, 0, uint64(0)
	for e, err := range c.Debug(t.Context(), "own") {
		if err != nil {
			t.Fatal(err)
		}
		if kinds[e.Kind]++; e.Why != "" {
			why++
		}
		done = e.Done
	}
	if kinds[api.ProbeBegun] != 1 || kinds[api.ProbeSent] != 10 || kinds[api.ProbeAnswered] != 10 || kinds[api.ProbeDone] != 1 || why != 20 || done != 10 {
		t.Errorf("a round of 10: %v, %d with a reason, %d done", kinds, why, done)
	}
	if s := status(t, socket); s.Lost != 0 || len(s.NotSent) != 0 || len(s.Unknown) != 0 {
		t.Errorf("the daemon's own: %+v", s)
	}
}

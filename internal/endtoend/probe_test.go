// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
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

	// The caps are the daemon's, whatever is allowed here.
	for _, tt := range [][]string{
		{"192.0.2.0/25", "--rate", "15k", "safety.max_prefix_pps"},
		{"192.0.2.3", "198.18.0.0/16", "--rate", "50k", "safety.max_pps"},
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

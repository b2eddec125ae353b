// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// TestTarget: of eight paths the broken one is the first, and is named as such.
func TestTarget(t *testing.T) {
	d := &api.TargetDetail{Target: api.Target{Name: "web", Type: "TCPsyn", Destination: "web.example", Family: "ipv6", Address: "2001:db8::1", DstPort: 443, Source: "config", Labels: map[string]string{"site": "a\nb"}}}
	for port := uint16(65000); port < 65008; port++ {
		p := api.Path{Group: "g", Local: "2001:db8::2", SourcePort: port, Remote: "2001:db8::1", Sent: 40, Answered: 40, RoundTrip: 0.001,
			Rounds: []api.PathRound{{Sent: 20, Answered: 20}, {Sent: 20, Answered: 20}}}
		switch port {
		case 65003:
			p.Answered, p.Rounds = 0, []api.PathRound{{Sent: 20}, {Sent: 20}}
		case 65005:
			p.Answered, p.Rounds = 30, []api.PathRound{{Sent: 20, Answered: 10}, {Sent: 20, Answered: 20}, {}}
		}
		d.Paths = append(d.Paths, p)
	}
	var b bytes.Buffer
	if err := WriteTarget(&b, d, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	_, paths, _ := strings.Cut(b.String(), "nothing sent:\n")
	lines := strings.Split(paths, "\n")
	if !strings.Contains(lines[1], "65003") || !strings.Contains(lines[1], "XX") || !strings.Contains(lines[1], "BROKEN") ||
		!strings.Contains(lines[2], "65005") || !strings.Contains(lines[2], "-.5") || !strings.Contains(lines[2], "worse than the others") || strings.Contains(lines[3], "<==") {
		t.Error(b.String())
	}
	if !strings.Contains(b.String(), "[2001:db8::1]:443") || !strings.Contains(b.String(), "a?b\n") {
		t.Error(b.String())
	}
}

// TestPingPaths: addresses are in the order of their numbers, and a ping has an
// identifier and no port.
func TestPingPaths(t *testing.T) {
	paths := []api.Path{{Remote: "192.0.2.10", SourcePort: 7}, {Remote: "192.0.2.9", SourcePort: 7, Local: "192.0.2.1"}, {Remote: "192.0.2.11"}}
	rows := pathRows(paths, "ICMPping")
	if rows[1][1] != "192.0.2.1 id 7" || rows[1][2] != "192.0.2.9" || rows[2][1] != "- id 7" || rows[3][1] != "-" {
		t.Errorf("%q", rows)
	}
	e := api.ProbeEvent{Kind: api.ProbeAnswered, SourcePort: 7}
	if l := DebugLine(&e, "ICMPping"); !strings.Contains(l, "with identifier 7") {
		t.Error(l)
	}
	if l := DebugLine(&e, "UDPunreachable"); !strings.Contains(l, "from port 7") {
		t.Error(l)
	}
}

// TestReloaded: a reload is said item by item.
func TestReloaded(t *testing.T) {
	var b bytes.Buffer
	r := &api.Reloaded{Enabled: []string{"a"}, Updated: []string{"b\x1b"}, Disabled: []string{"c"}, Failed: []api.FieldError{{Field: "d", Detail: "no"}}, Unchanged: 5}
	if err := WriteReloaded(&b, r); err != nil {
		t.Fatal(err)
	}
	want := "enabled   a\nupdated   b?\ndisabled  c\nfailed    d: no\n1 enabled, 1 updated, 1 disabled, 1 failed, 5 unchanged\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestStatus: what is wrong is seen.
func TestStatus(t *testing.T) {
	now := time.Unix(100000, 0)
	d := &Daemon{Where: "/s", Info: &api.Info{ProbeName: "paris"}, Status: &api.Status{
		Now: now, Started: now.Add(-26 * time.Hour), Healthy: api.State{Reason: "a worker is late"}, Stopped: true, ReloadFailed: true,
		Sent: 1000, Lost: 10, NotSent: map[string]uint64{"no_route": 3, "link_down": 4, "cap": 0},
		Interfaces: []api.Interface{{Name: "eth0", Mode: "native", Bind: "copy", Queues: []api.Queue{{ID: 0, Steered: 7}, {ID: 1}}}, {Name: "eth1"}},
	}}
	var b bytes.Buffer
	if err := WriteStatus(&b, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT HEALTHY: a worker is late", "SENDING IS STOPPED", "THE LAST RELOAD FAILED", "for 1 d 2 h", "lost 10 (1.00 %)", "4 link_down, 3 no_route\n", "eth1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "namespace") {
		t.Errorf("it is this namespace, and is named:\n%s", b.String())
	}
	b.Reset()
	d.NetNS = "ns\x1b1"
	d.Only("eth0", "eth7")
	if err := WriteStatus(&b, d); err != nil || strings.Contains(b.String(), "eth1") || !strings.Contains(b.String(), "eth0") || !strings.Contains(b.String(), "\nnamespace  ns?1\n") {
		t.Error(err, b.String())
	}
}

// TestLines: events and probes are one line each.
func TestLines(t *testing.T) {
	rtt := 0.0012
	for _, e := range []api.ProbeEvent{
		{Kind: api.ProbeBegun, Address: "192.0.2.1", Planned: 3}, {Kind: api.ProbeMissed, Done: 2}, {Kind: api.ProbeDone, Summary: &api.Summary{Sent: 3}}, {Kind: api.ProbeProgress},
		{Kind: api.ProbeAnswered, Seq: 1, SourcePort: 65000, RoundTrip: &rtt, Answer: "syn_ack", Why: "in\ntime"}, {Kind: api.ProbeFailed, Problem: &api.Problem{Detail: "no"}},
	} {
		if l := DebugLine(&e, "TCPsyn"); strings.HasSuffix(l, " ") || strings.ContainsAny(l, "\n\x1b") || !strings.Contains(l, e.Kind) {
			t.Errorf("%q", l)
		}
	}
	if l := EventLine(&api.Event{Type: "round", Target: "w\x1b", Round: &api.Round{Sent: 20, Lost: 1}}); !strings.Contains(l, "w?") || !strings.Contains(l, "20 sent, 1 lost") {
		t.Error(l)
	}
}

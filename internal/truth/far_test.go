// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// The addresses of pair.
const (
	near4, near6 = "192.0.2.1", "2001:db8::1"
	far4, far6   = "192.0.2.2", "2001:db8::2"
)

// far is the probed address of each family.
var far = map[string]string{"ipv4": far4, "ipv6": far6}

// pair is the smallest network: a prober and one Linux host, side by side.
type pair struct {
	lab             *lab.Lab
	prober, host    *lab.Host
	nearEnd, farEnd *lab.End
}

func newPair(t *testing.T, queues int) *pair {
	t.Helper()
	l := lab.ForTest(t, "truth")
	p := &pair{lab: l, prober: l.Host("prober"), host: l.Host("host")}
	p.nearEnd, p.farEnd = l.Connect(p.prober, p.host, lab.Link{
		Queues: queues, A: []string{near4 + "/24", near6 + "/64"}, B: []string{far4 + "/24", far6 + "/64"},
	})
	p.host.UnlimitedICMP()
	return p
}

// listen opens TCP ports of both families of a host.
func listen(t *testing.T, h *lab.Host, serve lab.Handler, port int, addrs ...string) {
	t.Helper()
	for _, a := range addrs {
		if strings.Contains(a, ":") {
			a = "[" + a + "]"
		}
		if _, err := h.ListenTCP(fmt.Sprintf("%s:%d", a, port), serve); err != nil {
			t.Fatal(err)
		}
	}
}

// count counts what matches, and drops nothing.
func count(h *lab.Host, hook lab.Hook, m lab.Match) *lab.Filter { return h.DropShare(hook, m, 0, 1) }

func counts(t *testing.T, f *lab.Filter) lab.Counts {
	t.Helper()
	c, err := f.Counts()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must runs a command in a host.
func must(t *testing.T, h *lab.Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Exec(context.WithoutCancel(t.Context()), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kernelCounter reads a counter of the Linux stack of a host: "Tcp:OutRsts",
// "TcpExt:TCPSynRetrans", or one of IPv6 by its own name, "Icmp6InEchos".
func kernelCounter(t *testing.T, h *lab.Host, name string) uint64 {
	t.Helper()
	var text string
	err := h.Do(func() error {
		for _, f := range []string{"snmp", "netstat", "snmp6"} {
			// The thread's own namespace: /proc/net is the main thread's.
			b, err := os.ReadFile("/proc/thread-self/net/" + f)
			if err != nil {
				return err
			}
			text += string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	section, key, ok := strings.Cut(name, ":")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		f := strings.Fields(line)
		if !ok && len(f) == 2 && f[0] == name {
			return number(t, f[1])
		}
		if !ok || len(f) == 0 || f[0] != section+":" || i+1 == len(lines) {
			continue
		}
		values := strings.Fields(lines[i+1])
		for j := 1; j < min(len(f), len(values)); j++ {
			if f[j] == key && values[0] == f[0] {
				return number(t, values[j])
			}
		}
	}
	t.Fatalf("the kernel of host %s has no counter %s", h.Name, name)
	return 0
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(v)
}

// page is what a scraper sees.
type page string

func (r *run) page() page {
	r.t.Helper()
	resp, err := http.Get("http://" + r.running.Addr.String() + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return page(b)
}

// sum adds up a metric's series that have all of these labels, each given as
// name="value". n is how many there are.
func (p page) sum(t *testing.T, metric string, labels ...string) (total uint64, n int) {
	t.Helper()
lines:
	for line := range strings.Lines(string(p)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), "{")
		set, value, end := strings.Cut(rest, "} ")
		if !ok || !end || name != metric {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(","+set+",", ","+l+",") {
				continue lines
			}
		}
		n++
		total += number(t, value)
	}
	return total, n
}

// accounted checks that every frame which the XDP program handed over was one
// answer to one probe, and that this side lost none. Call it in quiet time.
func (r *run) accounted() {
	r.t.Helper()
	answers := func() uint64 {
		s := r.all()
		foreign, _ := r.page().sum(r.t, "netprobe_foreign_total")
		return s.Sent - s.Lost + s.Causes[result.ICMPError] + s.Duplicates + s.Late + foreign
	}
	// A peer that is still half-open repeats its SYN-ACK even now.
	before := answers()
	p := r.page()
	steered, queues := p.sum(r.t, "netprobe_steered_total")
	after := answers()
	dropped, _ := p.sum(r.t, "netprobe_ring_dropped_total")
	faults, _ := p.sum(r.t, "netprobe_clock_faults_total")
	if steered < before || steered > after || queues == 0 {
		r.t.Errorf("%d frames were steered, but between %d and %d were answers, duplicates, late or foreign: %s", steered, before, after, show(r.all()))
	}
	if dropped != 0 || faults != 0 {
		r.t.Errorf("%d replies were lost in our own rings, %d clock faults", dropped, faults)
	}
}

// halfOpen returns the host's TCP connections in the state SYN_RECV.
func halfOpen(t *testing.T, h *lab.Host) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := h.Do(func() error {
		for _, f := range []string{"tcp", "tcp6"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + f)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) > 3 && f[3] == "03" {
					all[f[1]+" "+f[2]] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unreset returns the connections that are half open at two looks a while apart: at one, a
// probe may be on its way. The host repeats its SYN-ACK only after a second.
func unreset(t *testing.T, h *lab.Host) map[string]bool {
	t.Helper()
	before := halfOpen(t, h)
	if len(before) > 0 {
		time.Sleep(100 * time.Millisecond)
		now := halfOpen(t, h)
		maps.DeleteFunc(before, func(conn string, _ bool) bool { return !now[conn] })
	}
	return before
}

// txDropped is how many packets an end dropped instead of sending.
func txDropped(t *testing.T, e *lab.End) uint64 {
	t.Helper()
	var b []byte
	if err := e.Host.Do(func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/dev")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		// The name, eight fields of receiving, and of sending: bytes, packets, errs, drop.
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == e.Name {
			return number(t, strings.Fields(rest)[8+3])
		}
	}
	t.Fatalf("interface %s of %s has no statistics", e.Name, e.Host.Name)
	return 0
}

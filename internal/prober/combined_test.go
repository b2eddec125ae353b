// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/history"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/push"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// still is a prober that has done everything but begin: the test's goroutine is
// that of control. No name resolves; the test says what they lead to.
type still struct {
	*prober
	t    *testing.T
	dir  string
	ends []*lab.End
}

// newStill makes one with a veth pair per network, "198.51.100.0/24" and so on,
// and these sections of a configuration.
func newStill(t *testing.T, networks int, sections ...string) *still {
	t.Helper()
	l := lab.ForTest(t, "prober")
	near, far := l.Host("near"), l.Host("far")
	s := &still{t: t, dir: t.TempDir()}
	for i := range networks {
		end, _ := l.Connect(near, far, lab.Link{A: []string{fmt.Sprintf("198.51.%d.1/24", 100+i)}, B: []string{fmt.Sprintf("198.51.%d.2/24", 100+i)}})
		s.ends = append(s.ends, end)
	}
	s.prober = &prober{
		Options: Options{NetNS: near.Netns, Config: filepath.Join(s.dir, "netprobe.yaml"), Settings: filepath.Join(s.dir, "settings.yaml"), Log: slog.New(slog.DiscardHandler)},
		secret:  packet.NewSecret(), history: history.New(), astray: make(chan struct{}, 1), life: t.Context(),
	}
	for _, e := range s.ends {
		s.Ifaces = append(s.Ifaces, e.Name)
	}
	s.write(sections...)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.configure())
	must(s.openLinks(t.Context()))
	t.Cleanup(func() {
		if err := s.ports.close(); err != nil {
			t.Error(err)
		}
	})
	s.pusher = push.New(nil, s.Log)
	nobody := func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("no answer") }
	s.names.known = s.names.carry(s.cfg)
	s.names.refresher = resolve.New(s.Log, nobody).Refresh(t.Context(), nil)
	first, err := s.prepare(t.Context(), s.cfg)
	must(err)
	s.adopt(first)
	s.makeCaps()
	must(s.ports.attach(s.prober, first))
	must(s.install(first))
	return s
}

// write writes the configuration, and beside it settings with this cap for a /24.
func (s *still) write(sections ...string) {
	s.t.Helper()
	for file, text := range map[string]string{
		s.Config:   strings.Join(append([]string{"global: {probe_name: still, interval: 1, dns_update_interval: 60, logging_level: INFO, prometheus_port: 8000}", "groups: {g: {src_port_a: 20000, src_port_z: 20003}}"}, sections[1:]...), "\n") + "\n",
		s.Settings: sections[0] + "\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// reloads loads and carries out what was written.
func (s *still) reloads() {
	s.t.Helper()
	next, err := s.load()
	if err == nil {
		_, err = s.apply(next, true)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// addressed are the targets that have an address, as the plan and the metrics
// say.
func (s *still) addressed() (all []string) {
	s.t.Helper()
	for _, t := range s.plan.Targets {
		if len(t.Addrs) > 0 {
			all = append(all, t.Name)
		}
	}
	for _, m := range s.names.shown() {
		if slices.Contains(all, m.Destination) != (m.Address != "") {
			s.t.Errorf("%s is at %q, as the metrics say", m.Destination, m.Address)
		}
	}
	return all
}

func named(names ...string) string {
	var b strings.Builder
	b.WriteString("targets:")
	for _, n := range names {
		fmt.Fprintf(&b, "\n  %s: {type: ICMPping, destination: %s.example, nb_packets: 1}", n, n)
	}
	return b.String()
}

// Names that change together: one whose new address cannot be carried out
// spoils none of the others, and is probed once a reload allows it.
func TestMoveThatDoesNotFit(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	s := newStill(t, 2, "safety: {max_prefix_pps: 3}", named(all...))
	for i, name := range all {
		s.names.addrs[name] = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(10 + i)})}
	}
	s.names.addrs["c"] = []netip.Addr{netip.MustParseAddr("198.51.101.10")}
	if err := s.move(all); err != nil {
		t.Fatal(err)
	}
	if got := s.addressed(); len(got) != 4 || !slices.Contains(got, "c") {
		t.Errorf("%v have an address, want c and three of the four others", got)
	}
	s.reloads()
	if got := s.addressed(); len(got) != 4 {
		t.Errorf("after a reload that allows no more: %v have an address, want four", got)
	}
	s.write("safety: {max_prefix_pps: 4}", named(all...))
	s.reloads()
	if got := s.addressed(); !slices.Equal(got, all) {
		t.Errorf("after a reload that allows them: %v have an address, want %v", got, all)
	}
}

// An interface was made again, and its port has not taken it up yet: the route
// leads there, and a reload at this moment must not call that a fault.
func TestReloadBeforeReopen(t *testing.T) {
	targets := func(addrs ...string) string {
		text := "targets:"
		for i, a := range addrs {
			text += fmt.Sprintf("\n  t%d: {type: ICMPping, destination: %s, nb_packets: 1}", i, a)
		}
		return text
	}
	s := newStill(t, 2, "safety: {max_prefix_pps: 3}", targets("198.51.100.2", "198.51.101.2"))
	name := s.ends[0].Name
	for _, line := range []string{"link del " + name, "link add " + name + " type veth peer name other", "addr add 198.51.100.1/24 dev " + name, "link set " + name + " up", "link set other up"} {
		if out, err := s.ends[0].Host.Exec(t.Context(), "ip", strings.Fields(line)...); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	s.write("safety: {max_prefix_pps: 3}", targets("198.51.100.2", "198.51.101.2", "198.51.100.3"))
	s.reloads()
	for target, want := range map[string]string{"t0": name, "t1": s.ends[1].Name, "t2": name} {
		if got := s.placed[target]; got == nil || got.name != want {
			t.Errorf("%s is probed by %v, want %s", target, got, want)
		}
	}
}

// Many targets whose route goes to another interface go with it, each once,
// whoever tells of them twice.
func TestRehomeMany(t *testing.T) {
	const count = 300
	var b strings.Builder
	b.WriteString("targets:")
	for i := range count {
		fmt.Fprintf(&b, "\n  t%d: {type: ICMPping, destination: 10.0.%d.%d, nb_packets: 1}", i, i/200, 1+i%200)
	}
	s := newStill(t, 2, "safety: {max_prefix_pps: 1000}", "targets: {first: {type: ICMPping, destination: 198.51.100.2, nb_packets: 1}}")
	s.ends[0].Host.SetRoute("10.0.0.0/16", lab.Hop{Via: "198.51.100.2"})
	s.write("safety: {max_prefix_pps: 1000}", b.String())
	s.reloads()
	var names []string
	for _, pt := range s.plan.Targets {
		names = append(names, pt.Name)
	}
	s.ends[0].Host.DelRoute("10.0.0.0/16")
	s.ends[0].Host.SetRoute("10.0.0.0/16", lab.Hop{Via: "198.51.101.2"})
	if err := s.rehome(append(names, names...)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if got := s.placed[name]; got != s.ports[1] {
			t.Fatalf("%s is probed by %v, want %s", name, got.name, s.ports[1].name)
		}
	}
	if got := len(s.store.Series()); got != count {
		t.Errorf("%d series, want %d", got, count)
	}
	if worst, _ := s.ports[0].engine.Worst("", count); len(worst) > 0 {
		t.Errorf("the interface before still has %d addresses", len(worst))
	}
}

// Whoever asks for a reload over HTTP may hang up. What was not begun then is still
// to be done, for who looks at the files; what failed has failed.
func TestReloadAskedByOneWhoLeft(t *testing.T) {
	target := func(addr string) string {
		return "targets: {one: {type: ICMPping, destination: " + addr + ", nb_packets: 1}}"
	}
	s := newStill(t, 1, "safety: {max_prefix_pps: 3}", target("198.51.100.2"))
	s.tasks, s.ended = make(chan func()), make(chan struct{})
	left, leave := context.WithCancel(t.Context())
	leave()
	s.write("safety: {max_prefix_pps: 3}", target("198.51.100.3"))
	if _, err := s.reload(left); !errors.Is(err, context.Canceled) || s.app.ReloadFailed.Load() {
		t.Errorf("a reload that was not begun: %v, failed %v", err, s.app.ReloadFailed.Load())
	}
	if s.lastLoaded() == s.fingerprint() {
		t.Error("files that were not loaded pass for loaded")
	}
	s.write("safety: {max_prefix_pps: 3}", target("none"), "wrong: {}")
	if _, err := s.reload(left); err == nil || !s.app.ReloadFailed.Load() {
		t.Errorf("a wrong configuration: %v, failed %v", err, s.app.ReloadFailed.Load())
	}
	if s.lastLoaded() != s.fingerprint() {
		t.Error("files that were refused are loaded again and again")
	}
}

// A list of HTTP whose inventory became a file meanwhile does not come back.
func TestInventoryThatWasAFile(t *testing.T) {
	const target = "targets: {one: {type: ICMPping, destination: 198.51.100.2, nb_packets: 1}}"
	s := newStill(t, 1, "safety: {max_prefix_pps: 3}", target)
	list := filepath.Join(s.dir, "list.jsonl")
	if err := os.WriteFile(list, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer s.inventories.running.Wait()
	defer cancel()
	s.tasks, s.ended, s.inventories.ctx = make(chan func()), make(chan struct{}), ctx
	become := func(from string) {
		t.Helper()
		s.write("inventories: {inv: {"+from+"}}", target)
		s.reloads()
		s.inventories.follow(s.prober)
	}
	become("url: 'http://127.0.0.1:1/'")
	s.inventories.feeds["inv"].data = []byte(`[{"hostname": "old", "type": "ICMPping", "destination": "198.51.100.3", "groups": ["g"]}]`)
	next, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(s.relist(next).Targets); got != 2 {
		t.Errorf("%d targets while the inventory is the same, want 2", got)
	}
	become("file: '" + list + "'")
	become("url: 'http://127.0.0.1:1/other'")
	if next, err = s.load(); err != nil {
		t.Fatal(err)
	}
	if got := len(s.relist(next).Targets); got != 1 {
		t.Errorf("%d targets, want the one that is in no list", got)
	}
}

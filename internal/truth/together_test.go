// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// together is a prober to which everything happens at once. Fields do not
// change; any goroutine may call the methods.
type together struct {
	t                                  *testing.T
	near                               *lab.Host
	steady, other                      *lab.End
	config, settings, list, kill, stop string
	port                               int
	writing                            sync.Mutex
}

// replace puts a file in another's place.
func (g *together) replace(name, text string) {
	err := os.WriteFile(name+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		g.t.Error(err)
	}
}

// configure writes a configuration of chance, which may be wrong, or one
// without chance that is right; both name the target still.
func (g *together) configure(targets int, chance bool) {
	g.writing.Lock()
	defer g.writing.Unlock()
	n := func(below int) int {
		if !chance {
			return 0
		}
		return rand.IntN(below)
	}
	var c, s strings.Builder
	fmt.Fprintf(&c, "global: {probe_name: p%d, interval: %d, dns_update_interval: 1, logging_level: INFO, prometheus_port: %d, prometheus_address: 127.0.0.1, percentile: [%d, 95]}\n", n(2), 1+n(2), g.port, 10+n(3))
	c.WriteString("groups: {g: {src_port_a: 20000, src_port_z: 20015}}\ntargets:\n  still: {type: ICMPping, destination: 198.51.100.2, nb_packets: 3}\n")
	for i := range targets {
		fmt.Fprintf(&c, "  t%d: {destination: 198.51.%d.2, nb_packets: %d, state: %s, timeout: 0.5, ", i, 100+n(2), 1+n(4), []string{"validation", "in production"}[n(2)])
		fmt.Fprintf(&c, "%s}\n", []string{"type: ICMPping", fmt.Sprintf("type: TCPsyn, dst_port: %d", 81+i), fmt.Sprintf("type: UDPunreachable, dst_port: %d", 33434+i)}[i%3])
	}
	if chance {
		fmt.Fprintf(&c, "  name: {type: ICMPping, destination: localhost, address_family: %s}\n", []string{"ipv4", "ipv6"}[n(2)])
	}
	if n(8) == 1 {
		c.WriteString("  wrong: {type: none}\n")
	}
	fmt.Fprintf(&s, "safety: {max_pps: %d, allow_ranges: [127.0.0.0/8, '::1/128']", 10_000+n(2))
	if n(2) == 1 {
		fmt.Fprintf(&s, ", block_file: %s", g.stop)
	}
	if n(2) == 1 {
		fmt.Fprintf(&s, ", kill_file: %s", g.kill)
	}
	s.WriteString("}\n")
	if n(4) > 0 {
		fmt.Fprintf(&s, "engine: {interfaces: [%s], reload_on_change: true}\n", g.other.Name)
	}
	if !chance || n(3) > 0 {
		fmt.Fprintf(&s, "inventories: {list: {file: %s, max_targets: %d}}\n", g.list, 100+n(2))
	}
	g.replace(g.config, c.String())
	g.replace(g.settings, s.String())
}

// relist writes a list of so many targets.
func (g *together) relist(targets int) {
	var b strings.Builder
	for i := range targets {
		fmt.Fprintf(&b, `{"hostname": "l%d", "type": "ICMPping", "destination": "198.51.100.2", "groups": ["g"], "nb_packets": %d}`+"\n", i, 1+i%3)
	}
	g.replace(g.list, b.String())
}

// remake deletes the other interface, and makes it again.
func (g *together) remake() {
	name := g.other.Name
	for _, line := range []string{"link del " + name, "", "link add " + name + " numrxqueues 2 numtxqueues 2 type veth peer name peer numrxqueues 2 numtxqueues 2",
		"addr add 198.51.101.1/24 dev " + name, "link set peer up", "link set " + name + " up"} {
		if line == "" {
			time.Sleep(rand.N(300 * time.Millisecond))
		} else if out, err := g.near.Exec(context.Background(), "ip", strings.Fields(line)...); err != nil {
			g.t.Errorf("ip %s: %v: %s", line, err, out)
		}
	}
}

// Reloads by several at once, right and wrong, lists, names, interfaces, blocked
// addresses and the kill file all change all the time. At no moment is a series
// there twice; in the end everything is probed as the last configuration says, once
// and without loss; the prober ends whatever it is at, and leaves nothing behind.
func TestEverythingAtOnce(t *testing.T) {
	near, ends, _ := star(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	g := &together{t: t, near: near, steady: ends[0], other: ends[1], config: file("netprobe.yaml"), settings: file("settings.yaml"),
		list: file("list.jsonl"), kill: file("kill"), stop: file("block"), port: freePort(t)}
	g.replace(g.stop, "198.51.100.2/32\n")
	goroutines, files := 0, 0
	for round := range 3 {
		g.relist(5)
		g.configure(9, false)
		g.once(round%2 == 0)
		n := runtime.NumGoroutine()
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			goroutines, files = n, len(open)
		} else if n > goroutines+2 || len(open) > files+2 {
			t.Errorf("%d goroutines and %d open files are left, %d and %d the first time", n, len(open), goroutines, files)
		}
	}
}

// once runs a prober for a while. With settle, all is left alone before its end,
// and looked at.
func (g *together) once(settle bool) {
	t := g.t
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log lab.Buffer
	started, ended, hangup := make(chan prober.Running, 1), make(chan error, 1), make(chan os.Signal, 1)
	go func() {
		ended <- prober.Run(ctx, prober.Options{Ifaces: []string{g.steady.Name}, NetNS: g.near.Netns, Config: g.config, Settings: g.settings,
			Hangup: hangup, Log: slog.New(slog.NewTextHandler(&log, nil)), Started: func(r prober.Running) { started <- r }})
	}()
	var r prober.Running
	select {
	case r = <-started:
	case err := <-ended:
		t.Fatalf("it did not start: %v", err)
	}
	busy, leave := context.WithCancel(ctx)
	defer leave()
	var all sync.WaitGroup
	again := func(pause time.Duration, f func()) {
		all.Go(func() {
			for busy.Err() == nil {
				f()
				time.Sleep(rand.N(pause))
			}
		})
	}
	again(60*time.Millisecond, func() { g.configure(rand.IntN(30), true); _, _ = r.Reload(ctx) })
	again(100*time.Millisecond, func() { _, _ = r.Reload(ctx) })
	again(200*time.Millisecond, func() {
		select {
		case hangup <- os.Interrupt:
		default:
		}
	})
	again(700*time.Millisecond, func() { g.relist(rand.IntN(30)) })
	again(300*time.Millisecond, func() {
		g.replace(g.kill, "")
		time.Sleep(100 * time.Millisecond)
		_ = os.Remove(g.kill)
	})
	again(700*time.Millisecond, g.remake)
	again(20*time.Millisecond, func() {
		seen := map[result.Labels]bool{}
		for _, s := range r.Store.Series() {
			if seen[s.Labels()] {
				t.Errorf("there is a second series %v", s.Labels())
			}
			seen[s.Labels()] = true
		}
	})
	time.Sleep(1500*time.Millisecond + rand.N(time.Second))
	if settle {
		leave()
		all.Wait()
		g.settled(r)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		stacks := make([]byte, 1<<20)
		t.Fatalf("it does not end:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	all.Wait()
	if t.Failed() {
		t.Logf("the log:\n%s", log.String())
	}
}

// settled looks at what is probed once nothing changes any more.
func (g *together) settled(r prober.Running) {
	t := g.t
	t.Helper()
	g.relist(5)
	g.configure(9, false)
	if _, err := r.Reload(t.Context()); err != nil {
		t.Errorf("the last reload: %v", err)
		return
	}
	want := map[string]uint64{"still": 3}
	for i := range 9 {
		want[fmt.Sprintf("t%d", i)] = 1
	}
	for i := range 5 {
		want[fmt.Sprintf("list_l%d", i)] = uint64(1 + i%3)
	}
	rounds := func() (all map[string]result.Snapshot) {
		all = map[string]result.Snapshot{}
		for _, s := range r.Store.Series() {
			var snap result.Snapshot
			s.Snapshot(&snap)
			all[s.Labels().Destination] = snap
		}
		return all
	}
	time.Sleep(2500 * time.Millisecond) // flows that were left are free, and the list was looked at
	wrong := ""
	for range 3 { // a machine that was busy gets another chance
		before := rounds()
		time.Sleep(2500 * time.Millisecond)
		var b strings.Builder
		got := map[string]uint64{}
		for name, snap := range rounds() {
			got[name] = snap.RoundSent
			if was := before[name]; snap.Rounds == was.Rounds || snap.Lost != was.Lost || snap.NotSent != was.NotSent {
				fmt.Fprintf(&b, "%s: %s; before %s\n", name, show(snap), show(was))
			}
		}
		b.WriteString(cmp.Diff(want, got))
		if wrong = b.String(); wrong == "" {
			break
		}
	}
	if wrong != "" {
		t.Errorf("when nothing changes any more, probes of a round and figures that moved: %s", wrong)
	}
	if n := len(r.Store.Series()); n != len(want) {
		t.Errorf("%d series, want %d", n, len(want))
	}
}

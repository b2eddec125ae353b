// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// target is a target of a configuration. Its name is the beginning of the one
// that is probed: see inPhase.
type target struct {
	name    string
	kind    string
	addr    string
	port    uint16
	packets int
	size    int           // ip_payload_size; 0: none
	timeout time.Duration // 0: 1 s
	group   string        // "": all
	keys    map[string]any
}

// group is a group of a configuration.
type group struct {
	name string
	a, z uint16 // source ports
	dscp int
	keys map[string]any
}

// setup is what one run of the prober is to do. All targets begin their round
// at the same moment, and send a probe every gap; what is left of the interval
// nobody sends anything, so that both sides can be counted and compared.
type setup struct {
	on       *lab.Host
	hosts    []*lab.Host // that are probed
	ifaces   []string
	interval time.Duration // whole seconds
	gap      time.Duration
	groups   []group // none: ports 20000 to 20063
	targets  []target
	lead     time.Duration // from the start to the first round; 0: usualLead
}

const probeName = "truth"

// usualLead is how long after the start the first round begins: time to attach,
// and to ask the neighbours.
const usualLead = 1500 * time.Millisecond

// run is a prober at work.
type run struct {
	t        *testing.T
	setup    setup
	names    map[string]string // of targets, as they are probed
	running  prober.Running
	ended    chan struct{}
	err      error // valid once ended is closed
	cancel   context.CancelFunc
	interval time.Duration
	phase    time.Duration // when in each interval the rounds begin
	log      lockedBuffer
	excused  uint64 // probes lost that whole may yet find excused by unable
}

// start runs the prober until the test ends.
func start(t *testing.T, s setup) *run {
	t.Helper()
	r := begin(t, s)
	if err := r.started(); err != nil {
		t.Fatalf("the prober did not start: %v\n%s", err, r.log.String())
	}
	return r
}

// begin runs the prober, which may fail.
func begin(t *testing.T, s setup) *run {
	t.Helper()
	if len(s.groups) == 0 {
		s.groups = []group{{name: "g", a: 20000, z: 20063}}
	}
	if s.lead == 0 {
		s.lead = usualLead
	}
	r := &run{t: t, setup: s, interval: s.interval, ended: make(chan struct{})}
	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.yaml")
	write(t, settings, map[string]any{"safety": map[string]any{"max_pps": 100_000, "max_prefix_pps": 100_000}})
	r.phase = time.Duration((time.Now().UnixNano() + int64(s.lead)) % int64(s.interval))
	r.names = inPhase(t, s, r.phase)
	file := filepath.Join(dir, "netprobe.yaml")
	write(t, file, r.config(t))

	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	started := make(chan prober.Running, 1)
	go func() {
		defer close(r.ended)
		defer close(started)
		r.err = prober.Run(ctx, prober.Options{
			Ifaces: s.ifaces, NetNS: s.on.Netns, Config: file, Settings: settings,
			Log:     slog.New(slog.NewTextHandler(&r.log, nil)),
			Started: func(p prober.Running) { started <- p },
		})
	}()
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("the prober's log:\n%s", r.log.String())
		}
	})
	select {
	case r.running = <-started:
	case <-time.After(30 * time.Second):
		t.Fatalf("the prober has not started after 30 s:\n%s", r.log.String())
	}
	return r
}

// started returns the prober's error if it has ended already.
func (r *run) started() error {
	if r.running.Store != nil {
		return nil
	}
	<-r.ended
	return errors.Join(r.err, errors.New("it ended"))
}

// stop ends the prober; ending is success.
func (r *run) stop() {
	r.cancel()
	<-r.ended
	if r.running.Store != nil && r.err != nil {
		r.t.Errorf("the prober ended with %v", r.err)
		r.running.Store = nil // said once
	}
}

func (r *run) config(t *testing.T) map[string]any {
	groups, targets := map[string]any{}, map[string]any{}
	for _, g := range r.setup.groups {
		m := map[string]any{"src_port_a": g.a, "src_port_z": g.z, "dscp": g.dscp}
		for k, v := range g.keys {
			m[k] = v
		}
		groups[g.name] = m
	}
	for _, tg := range r.setup.targets {
		m := map[string]any{"type": tg.kind, "destination": tg.addr, "nb_packets": max(1, tg.packets)}
		if tg.port != 0 {
			m["dst_port"] = tg.port
		}
		if tg.size != 0 {
			m["ip_payload_size"] = tg.size
		}
		if tg.timeout != 0 {
			m["timeout"] = tg.timeout.Seconds()
		}
		if tg.group != "" {
			m["auto_register_to_groups"] = false
			m["explicit_groups"] = map[string]any{"register_to": []string{tg.group}}
		}
		for k, v := range tg.keys {
			m[k] = v
		}
		targets[r.names[tg.name]] = m
	}
	return map[string]any{
		"global": map[string]any{
			"probe_name": probeName, "interval": int(r.interval.Seconds()), "interval_packets": r.setup.gap.Seconds(),
			"nb_proc": 1, "logging_level": "INFO", "dns_update_interval": 0, "percentile": []int{50, 95},
			"prometheus_address": "127.0.0.1", "prometheus_port": freePort(t),
		},
		"groups": groups, "targets": targets,
	}
}

func write(t *testing.T, file string, content any) {
	t.Helper()
	b, err := yaml.Marshal(content)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inPhase finds names for the targets with which their rounds begin at the
// same moment of the interval, or at most a hundredth of it later: the planner
// spreads targets over the interval by their names.
func inPhase(t *testing.T, s setup, phase time.Duration) map[string]string {
	t.Helper()
	cfg := &config.Config{
		Global: config.Global{ProbeName: probeName, Interval: s.interval},
		Groups: []config.Group{{Name: "g", SrcPortA: 1, SrcPortZ: 1}},
		Safety: config.Safety{MaxPPS: 1 << 30, MaxPrefixPPS: 1 << 30},
	}
	names := map[string]string{}
	for from := 0; len(names) < len(s.targets); from += 500 {
		cfg.Targets = nil
		for _, tg := range s.targets {
			for i := range 500 {
				cfg.Targets = append(cfg.Targets, config.Target{Name: fmt.Sprintf("%s.%d", tg.name, from+i), Type: "ICMPping",
					Destination: "192.0.2.1", Family: "ipv4", NbPackets: 1, Timeout: time.Second, Groups: []int{0}})
			}
		}
		p, err := plan.Build(cfg, plan.Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		for i, pt := range p.Targets {
			if late := (pt.Phase - phase + s.interval) % s.interval; late < s.interval/100 {
				names[s.targets[i/500].name] = pt.Name
			}
		}
	}
	return names
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// series returns the series of a target, in the order of the groups.
func (r *run) series(name string) []*result.Series {
	r.t.Helper()
	var all []*result.Series
	for _, s := range r.running.Store.Series() {
		if s.Labels().Destination == r.names[name] {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		r.t.Fatalf("target %s has no series", name)
	}
	slices.SortFunc(all, func(a, b *result.Series) int { return bytes.Compare([]byte(a.Labels().Group), []byte(b.Labels().Group)) })
	return all
}

// of returns a target's figures, summed over its groups.
func (r *run) of(names ...string) result.Snapshot {
	r.t.Helper()
	var sum *result.Snapshot
	for _, name := range names {
		for _, s := range r.series(name) {
			one := new(result.Snapshot)
			s.Snapshot(one)
			if sum == nil {
				sum = one
			} else {
				add(sum, one)
			}
		}
	}
	return *sum
}

func add(sum, one *result.Snapshot) {
	sum.Sent += one.Sent
	sum.Lost += one.Lost
	sum.Rounds = min(sum.Rounds, one.Rounds)
	sum.Duplicates += one.Duplicates
	sum.Late += one.Late
	for i, n := range one.Unknown {
		sum.Unknown[i] += n
	}
	for i, n := range one.NotSent {
		sum.NotSent[i] += n
	}
	for i, n := range one.Causes {
		sum.Causes[i] += n
	}
}

// all returns the sum over every target.
func (r *run) all() result.Snapshot {
	r.t.Helper()
	var names []string
	for _, tg := range r.setup.targets {
		names = append(names, tg.name)
	}
	return r.of(names...)
}

func notSent(s result.Snapshot) uint64 { return total(s.NotSent[:]) }

func unknown(s result.Snapshot) uint64 { return total(s.Unknown[:]) }

func total(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}

// unable is how many replies the kernels of the probed hosts wanted to send and
// could not. All namespaces of a machine share one small buffer per CPU for
// the ICMP that they send; when elsewhere on this machine replies wait in it for a
// neighbour that does not answer, a host that is probed here falls silent
// (net/ipv6/icmp.c, the socket of icmpv6_xmit_lock). Those probes are lost
// indeed. Nearly always it is 0.
func (r *run) unable() (n uint64) {
	r.t.Helper()
	for _, h := range r.setup.hosts {
		n += kernelCounter(r.t, h, "Icmp6OutErrors") + kernelCounter(r.t, h, "Icmp:OutErrors")
	}
	if n > 0 {
		r.t.Logf("the kernels of the probed hosts could not send %d replies", n)
	}
	return n
}

// whole checks that a target's probes were all sent and all answered, once.
func (r *run) whole(name string, probes uint64) {
	r.t.Helper()
	s := r.of(name)
	if r.excused += s.Lost; r.excused > 0 && r.excused <= r.unable() {
		s.Lost = 0
	}
	if s.Sent != probes || s.Lost != 0 || notSent(s) != 0 || unknown(s) != 0 || s.Duplicates != 0 || s.Late != 0 {
		r.t.Errorf("%s: %s; want %d sent and answered, and nothing else", name, show(s), probes)
	}
}

// show says what there is in a snapshot.
func show(s result.Snapshot) string {
	text := fmt.Sprintf("%d sent, %d lost", s.Sent, s.Lost)
	for i, n := range s.Causes {
		if n > 0 {
			text += fmt.Sprintf(" (%s %d)", result.Cause(i), n)
		}
	}
	for i, n := range s.NotSent {
		if n > 0 {
			text += fmt.Sprintf(", %d not sent (%s)", n, result.Reason(i))
		}
	}
	for i, n := range s.Unknown {
		if n > 0 {
			text += fmt.Sprintf(", %d unknown (%s)", n, result.Doubt(i))
		}
	}
	return text + fmt.Sprintf(", %d duplicates, %d late, %d rounds", s.Duplicates, s.Late, s.Rounds)
}

// quiet waits until every target has this many whole rounds, and then calls f
// while nothing is under way. It fails the test when f took so long that the next round
// may have begun.
func (r *run) quiet(rounds uint64, f func()) {
	r.t.Helper()
	r.wait(func() bool { return r.all().Rounds >= rounds }, time.Duration(rounds+1)*r.interval+20*time.Second,
		func() string { return fmt.Sprintf("waiting for %d whole rounds: %s", rounds, show(r.all())) })
	now := time.Now()
	next := r.interval - time.Duration((now.UnixNano()-int64(r.phase))%int64(r.interval))
	if next > r.interval*99/100 { // it has just begun
		r.t.Fatalf("the rounds leave no quiet time: this machine is too slow for the test")
	}
	f()
	if took := time.Since(now); took >= next {
		r.t.Fatalf("counting took %v, and the next round began after %v: this machine is too slow for the test", took, next)
	}
}

// wait polls until is holds.
func (r *run) wait(is func() bool, limit time.Duration, what func() string) {
	r.t.Helper()
	end := time.Now().Add(limit)
	for !is() {
		select {
		case <-r.ended:
			r.t.Fatalf("the prober ended: %v", r.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			r.t.Fatalf("after %v: %s", limit, what())
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

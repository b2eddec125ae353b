// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

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
	log      lab.Buffer
	file     string         // the configuration
	content  map[string]any // of file
	excused  uint64         // probes lost that whole may yet find excused by unable
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
	content := map[string]any{"safety": map[string]any{"max_pps": 100_000, "max_prefix_pps": 100_000}}
	if s.mode != "" {
		content["engine"] = map[string]any{"xdp_mode": s.mode}
	}
	write(t, settings, content)
	r.phase = time.Duration((time.Now().UnixNano() + int64(s.lead)) % int64(s.interval))
	r.names = inPhase(t, s, r.phase)
	r.file, r.content = filepath.Join(dir, "netprobe.yaml"), r.config(t)
	write(t, r.file, r.content)

	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	started := make(chan prober.Running, 1)
	go func() {
		defer close(r.ended)
		defer close(started)
		r.err = prober.Run(ctx, prober.Options{
			Ifaces: s.ifaces, NetNS: s.on.Netns, Config: r.file, Settings: settings,
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
	slices.SortFunc(all, func(a, b *result.Series) int {
		return bytes.Compare([]byte(a.Labels().Group), []byte(b.Labels().Group))
	})
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

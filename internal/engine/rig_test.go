// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/steer"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// rig is an engine at work on one end of a link. The test's goroutine uses it.
type rig struct {
	*engine.Engine
	store result.Store
	stop  func() // ends the engine's work; calling it again does nothing
}

// newRig attaches to an end with one socket on each of its queues, and works
// until the test ends.
func newRig(t *testing.T, at *lab.End, queues int, interval time.Duration) *rig {
	return newRigUnder(t, at, queues, interval, 100_000)
}

// newRigUnder is newRig with a cap for each /24 and /48, probes per second.
func newRigUnder(t *testing.T, at *lab.End, queues int, interval time.Duration, blockPPS float64) *rig {
	t.Helper()
	r := &rig{}
	ctx, cancel := context.WithCancel(t.Context())
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	link, err := netdev.Open(ctx, netdev.Options{Iface: at.Name, NetNS: at.Host.Netns, Log: slog.New(slog.DiscardHandler)})
	check(err)
	secret := packet.NewSecret()
	program, err := steer.Load(steer.Options{Secret: secret, Queues: queues})
	check(err)
	var sockets []*xsk.Socket
	check(link.Do(func() error {
		if _, err := program.Attach(link.Index(), "native"); err != nil {
			return err
		}
		for q := range queues {
			s, err := xsk.Open(xsk.Options{Ifindex: link.Index(), Queue: q, RxFrames: 2048, TxFrames: 1024, FrameSize: 2048, Bind: "copy"})
			if err != nil {
				return err
			}
			sockets = append(sockets, s)
			if err := program.Register(q, s.FD()); err != nil {
				return err
			}
		}
		return nil
	}))
	r.Engine, err = engine.New(engine.Options{
		Link: link, Program: program, Sockets: sockets, MaxFrame: xsk.MaxFrame(2048), Secret: secret, Store: &r.store,
		Interval: interval, Tick: time.Millisecond, Percentiles: []int{50}, Limiter: engine.NewLimiter(100_000), Blocks: engine.NewBlocks(blockPPS), Log: slog.New(slog.DiscardHandler),
	})
	check(err)
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	r.stop = func() { cancel(); <-ended }
	t.Cleanup(func() {
		r.stop()
		_ = program.Close()
		for _, s := range sockets {
			_ = s.Close()
		}
		_ = link.Close()
	})
	return r
}

// planOf plans targets with these source ports.
func planOf(t *testing.T, interval time.Duration, ports [2]uint16, targets ...config.Target) *plan.Plan {
	t.Helper()
	for i := range targets {
		targets[i].Groups = []int{0}
		targets[i].Family = "ipv4"
		if strings.Contains(targets[i].Destination, ":") {
			targets[i].Family = "ipv6"
		}
	}
	p, err := plan.Build(&config.Config{
		Global:  config.Global{ProbeName: "engine", Interval: interval},
		Groups:  []config.Group{{Name: "g", SrcPortA: ports[0], SrcPortZ: ports[1]}},
		Targets: targets,
		Safety:  config.Safety{MaxPPS: 100_000, MaxPrefixPPS: 100_000},
	}, plan.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// totals sums up all series that are there.
func (r *rig) totals() (sum result.Snapshot, series int) {
	for _, s := range r.store.Series() {
		var one result.Snapshot
		s.Snapshot(&one)
		sum.Sent += one.Sent
		sum.Lost += one.Lost
		sum.Duplicates += one.Duplicates
		sum.Late += one.Late
		for i, n := range one.NotSent {
			sum.NotSent[i] += n
		}
		for i, n := range one.Unknown {
			sum.Unknown[i] += n
		}
		series++
	}
	return sum, series
}

func show(s result.Snapshot) string {
	return fmt.Sprintf("%d sent, %d lost, not sent %v, unknown %v, %d duplicates, %d late", s.Sent, s.Lost, s.NotSent, s.Unknown, s.Duplicates, s.Late)
}

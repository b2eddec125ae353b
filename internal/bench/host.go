// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// hostPPS is how much is probed beside: next to nothing, because it is asked what
// being attached costs.
const hostPPS = 10

// hostCost is what the host's own TCP is left with in one mode.
type hostCost struct {
	Mode     string `json:"mode"`
	Received spread `json:"received_gbit_s"`
	Size     spread `json:"received_bytes_per_packet"` // as the host's IP sees them: large where GRO is on
	Sent     spread `json:"sent_gbit_s"`
}

// The modes.
const (
	withoutUs = "nothing attached"
	withGRO   = "native, GRO switched on"
)

func hostTable(all []*hostCost) *table {
	t := &table{title: "The host's own traffic beside us", note: "One TCP stream of the two hosts' own over the pair, which has no other limit than the CPUs; the far end has no XDP program.",
		columns: []string{"XDP mode", "received Gbit/s", "bytes per packet received", "sent Gbit/s"}}
	for _, c := range all {
		t.add(c.Mode, c.Received.show(digits), c.Size.show(whole), c.Sent.show(digits))
	}
	return t
}

// host measures the modes in turn.
func (o *opts) host(p phases) ([]*hostCost, error) {
	modes := []string{withoutUs, "native", withGRO, "generic"}
	var received, size, sent [4][]float64
	for range o.rounds {
		for i, mode := range modes {
			in, each, out, err := o.beside(p, mode)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", mode, err)
			}
			progress("host, %s: received %s Gbit/s in packets of %s bytes, sent %s Gbit/s", mode, digits(in), whole(each), digits(out))
			received[i], size[i], sent[i] = append(received[i], in), append(size[i], each), append(sent[i], out)
		}
	}
	var all []*hostCost
	for i, mode := range modes {
		all = append(all, &hostCost{mode, spreadOf(received[i]), spreadOf(size[i]), spreadOf(sent[i])})
	}
	return all, nil
}

// beside measures a stream in each direction, Gbit/s, with our prober in a mode
// or without it.
func (o *opts) beside(p phases, mode string) (in, size, out float64, err error) {
	r, err := newRig(rigOptions{queues: o.queues, stack: true})
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if mode != withoutUs {
		dir, err := os.MkdirTemp("", "netprobe-bench-")
		if err != nil {
			return 0, 0, 0, err
		}
		defer os.RemoveAll(dir)
		if mode == withGRO {
			if _, err := r.prober.Exec(context.Background(), "ethtool", "-K", r.near.Name, "gro", "on"); err != nil {
				return 0, 0, 0, err
			}
			mode = "native"
		}
		children, err := (&ours{phases: p, mode: mode}).start(r, dir, load{Proto: icmp, Targets: 1, PPS: hostPPS, Probes: hostPPS * 5})
		if err != nil {
			return 0, 0, 0, err
		}
		defer children[0].kill()
	}
	received, err := lab.MeasureStream(r.responder, farAddr, r.prober, o.duration)
	if err != nil {
		return 0, 0, 0, err
	}
	sent, err := lab.MeasureStream(r.prober, nearAddr, r.responder, o.duration)
	return received.Gbit, received.PacketSize, sent.Gbit, err
}

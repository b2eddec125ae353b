// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

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
	if in, size, err = o.stream(r.responder, farAddr, r.prober); err != nil {
		return 0, 0, 0, err
	}
	out, _, err = o.stream(r.prober, nearAddr, r.responder)
	return in, size, out, err
}

// stream sends from one host to the other as fast as it goes, and returns Gbit/s
// and how many bytes a packet brought to the receiver's IP.
func (o *opts) stream(from *lab.Host, addr string, to *lab.Host) (gbit, size float64, err error) {
	s, err := from.ListenTCP(net.JoinHostPort(addr, "0"), lab.Bulk(math.MaxInt64))
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	var c net.Conn
	if err := to.Do(func() (err error) {
		c, err = net.Dial("tcp", s.Addr().String())
		return err
	}); err != nil {
		return 0, 0, err
	}
	defer c.Close()
	b := make([]byte, 1<<20)
	read := func(d time.Duration) (n float64, took float64, err error) {
		begin := time.Now()
		for time.Since(begin) < d {
			got, err := c.Read(b)
			if err != nil {
				return 0, 0, fmt.Errorf("receive from %s: %w", addr, errors.Join(err, io.ErrUnexpectedEOF))
			}
			n += float64(got)
		}
		return n, time.Since(begin).Seconds(), nil
	}
	if _, _, err := read(300 * time.Millisecond); err != nil { // until its window is open
		return 0, 0, err
	}
	before, err := inReceives(to)
	if err != nil {
		return 0, 0, err
	}
	n, took, err := read(o.duration)
	if err != nil {
		return 0, 0, err
	}
	after, err := inReceives(to)
	return n * 8 / took / 1e9, n / (after - before), err
}

// inReceives is how many packets a host's IP has seen (Ip:InReceives, RFC 4293
// ipSystemStatsInReceives), after GRO.
func inReceives(h *lab.Host) (n float64, err error) {
	var text []byte
	if err := h.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Ip:" {
			continue
		}
		for i, name := range names {
			if name == "InReceives" && i < len(f) {
				return strconv.ParseFloat(f[i], 64)
			}
		}
		names = f
	}
	return 0, errors.New("the kernel has no counter Ip:InReceives")
}

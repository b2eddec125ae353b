// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// The addresses of a rig. Everything below targetPrefix is answered by the
// reflector; there is no Linux stack behind it.
const (
	nearAddr     = "192.0.2.1"
	farAddr      = "192.0.2.2"
	strayAddr    = "192.0.2.9" // routed to the near end, but nobody's: for masscan
	targetPrefix = "10.0.0.0/8"
	tcpPort      = 80
	firstPort    = 20000 // of our own source ports
)

// targetAddr is target i of a contest.
func targetAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i / 250 >> 8), byte(i / 250), byte(i%250 + 1)})
}

// targetIndex is the inverse of targetAddr, for a packet's four address bytes.
func targetIndex(a []byte) int { return (int(a[1])<<8|int(a[2]))*250 + int(a[3]) - 1 }

// rig is one veth pair: a contestant's namespace, and a reflector at the other
// end. Each run gets a new one, so its counters begin at 0. One goroutine uses it.
type rig struct {
	lab       *lab.Lab
	prober    *lab.Host
	responder *lab.Host
	near, far *lab.End
	reflector *lab.Reflector
}

type rigOptions struct {
	queues    int
	pass      bool // an XDP program on the near end: what needs none of its own
	stack     bool // the far end is a Linux host without an XDP program, and target 0
	reflector lab.ReflectorOptions
}

func newRig(o rigOptions) (*rig, error) {
	l := lab.New(lab.Options{Name: "bench"})
	r := &rig{lab: l, prober: l.Host("prober"), responder: l.Host("responder")}
	r.near, r.far = l.Connect(r.prober, r.responder, lab.Link{
		Queues: o.queues, A: []string{nearAddr + "/24"}, B: []string{farAddr + "/24"},
	})
	r.near.SetNeighbour(farAddr, r.far.MAC)
	r.far.SetNeighbour(nearAddr, r.near.MAC)
	r.far.SetNeighbour(strayAddr, r.near.MAC)
	r.prober.SetRoute(targetPrefix, lab.Hop{Via: farAddr})
	if o.pass {
		lab.AttachPass(r.near)
	}
	if o.stack {
		r.far.AddAddr(targetAddr(0).String() + "/32")
	} else {
		o.reflector.Prefixes = []string{targetPrefix}
		r.reflector = lab.AttachReflector(r.far, o.reflector)
	}
	open.Store(r, true)
	if err := l.Err(); err != nil {
		return nil, fmt.Errorf("build the veth pair: %w", errors.Join(err, r.close()))
	}
	return r, nil
}

func (r *rig) close() error {
	open.Delete(r)
	return r.lab.Close()
}

// open are the rigs that are there, to be removed when the program is
// interrupted.
var open sync.Map

func closeAll() {
	open.Range(func(r, _ any) bool {
		if err := r.(*rig).close(); err != nil {
			progress("bench: %v", err)
		}
		return true
	})
}

// trickle sends small datagrams to an address behind the near end that nobody
// has, until stop is called: a capture that wakes only for packets goes on.
func (r *rig) trickle() (stop func(), err error) {
	var c net.Conn
	err = r.responder.Do(func() (err error) {
		c, err = net.Dial("udp4", strayAddr+":9")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("send a trickle of packets: %w", err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer c.Close()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				_, _ = c.Write([]byte("trickle")) // one that is missing wakes nobody; the next does
			}
		}
	}()
	return func() { close(end); <-ended }, nil
}

// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel reflect bpf/reflect.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -I../../bpf/include -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu

// MaxHold is the longest time for which a Reflector can hold an answer.
const MaxHold = 100 * time.Millisecond

// ReflectorOptions says what a Reflector answers, and how.
type ReflectorOptions struct {
	// Prefixes are the destinations that it answers for, of both families:
	// "198.51.100.0/24". Route them over an address of the end's host.
	Prefixes []string
	// Hold keeps each answer back by this time, in a busy loop on the CPU that
	// receives; on a veth that is the CPU that sends the probe, so no more
	// than 1/Hold probes a second get through.
	Hold time.Duration
	// DropEvery drops one answer in this many, by chance; 0 drops none.
	DropEvery uint32
	// ClosedPorts are the TCP ports that answer RST-ACK. The others answer
	// SYN-ACK. UDP ports are all closed.
	ClosedPorts []uint16
	// Quote is how many bytes behind the IP header an ICMP error quotes, at
	// least 8; 0: as many as RFC 1812 and RFC 4443 let it.
	Quote uint32
}

// ReflectorCounts is what a Reflector did. Received is the sum of all others.
type ReflectorCounts struct {
	Received    uint64 // packets to one of the prefixes; neighbour discovery is not counted
	Echo        uint64 // answered by an echo reply
	SynAck      uint64 // answered by a SYN-ACK
	RstAck      uint64 // answered by a RST-ACK
	Unreachable uint64 // answered by port unreachable
	Dropped     uint64 // would have been answered, dropped on purpose
	Resets      uint64 // RSTs, which have no answer
	Ignored     uint64 // other packets to the prefixes
	Failed      uint64 // answers that could not be built: 0, or a fault of the program
}

// Reflector is an XDP program on one end of a link that answers for whole
// prefixes. An answer reaches the other end only if that has an XDP program
// too, as a prober's does: see AttachPass. Any goroutine may call its methods.
type Reflector struct {
	objs     reflectObjects
	settings reflectSettings
}

var errNotAttached = errors.New("the reflector was never attached: see the lab's Err")

// AttachReflector puts a reflector on an end until the lab closes.
func AttachReflector(e *End, o ReflectorOptions) *Reflector {
	r := &Reflector{}
	l := e.Host.lab
	if l.err != nil {
		return r
	}
	if err := r.attach(e, o); err != nil {
		l.fail(fmt.Errorf("attaching the reflector to %s of %s: %w", e.Name, e.Host.Name, err))
	}
	return r
}

func (r *Reflector) attach(e *End, o ReflectorOptions) error {
	if o.Quote != 0 && o.Quote < 8 {
		return fmt.Errorf("quote of %d bytes: at least 8, or 0 for all", o.Quote)
	}
	if err := r.load(o); err != nil {
		return err
	}
	e.Host.lab.onClose(r.objs.Close)
	return e.attachXDP(r.objs.Reflect)
}

// load loads the program and fills its maps.
func (r *Reflector) load(o ReflectorOptions) error {
	if err := loadReflectObjects(&r.objs, nil); err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			return fmt.Errorf("loading the program: %+v", ve)
		}
		return fmt.Errorf("loading the program: %w", err)
	}
	if err := r.fill(o); err != nil {
		_ = r.objs.Close()
		return err
	}
	return nil
}

func (r *Reflector) fill(o ReflectorOptions) error {
	for _, s := range o.Prefixes {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return err
		}
		p = p.Masked()
		if p.Addr().Is4() {
			err = r.objs.Prefixes4.Put(reflectKey4{Bits: uint32(p.Bits()), Addr: p.Addr().As4()}, uint8(1))
		} else {
			err = r.objs.Prefixes6.Put(reflectKey6{Bits: uint32(p.Bits()), Addr: p.Addr().As16()}, uint8(1))
		}
		if err != nil {
			return fmt.Errorf("adding prefix %s: %w", s, err)
		}
	}
	for _, port := range o.ClosedPorts {
		if err := r.objs.ClosedPorts.Put([2]byte{byte(port >> 8), byte(port)}, uint8(1)); err != nil {
			return fmt.Errorf("closing port %d: %w", port, err)
		}
	}
	r.settings = reflectSettings{DropEvery: o.DropEvery, Quote: o.Quote}
	return r.SetHold(o.Hold)
}

// SetHold changes how long each answer is kept back, from the next frame on.
func (r *Reflector) SetHold(d time.Duration) error {
	if r.objs.Settings == nil {
		return errNotAttached
	}
	if d < 0 || d > MaxHold {
		return fmt.Errorf("hold of %v: 0 to %v", d, MaxHold)
	}
	set := r.settings
	set.HoldNs = uint64(d)
	if err := r.objs.Settings.Put(uint32(0), set); err != nil {
		return fmt.Errorf("setting the reflector's hold: %w", err)
	}
	return nil
}

// Counts reads the counters, summed over the CPUs.
func (r *Reflector) Counts() (ReflectorCounts, error) {
	var c ReflectorCounts
	if r.objs.Counters == nil {
		return c, errNotAttached
	}
	fields := []*uint64{
		&c.Received, &c.Echo, &c.SynAck, &c.RstAck, &c.Unreachable,
		&c.Dropped, &c.Resets, &c.Ignored, &c.Failed,
	}
	for i, f := range fields {
		var perCPU []uint64
		if err := r.objs.Counters.Lookup(uint32(i), &perCPU); err != nil {
			return ReflectorCounts{}, fmt.Errorf("reading the reflector's counters: %w", err)
		}
		for _, n := range perCPU {
			*f += n
		}
	}
	return c, nil
}

// AttachPass puts an XDP program on an end that lets everything through,
// until the lab closes. With it the end takes what its peer sends by XDP_TX,
// and its XDP slot is taken.
func AttachPass(e *End) {
	l := e.Host.lab
	if l.err != nil {
		return
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "lab_pass",
		Type:         ebpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
		License:      "Dual BSD/GPL",
	})
	if err == nil {
		l.onClose(prog.Close)
		err = e.attachXDP(prog)
	}
	if err != nil {
		l.fail(fmt.Errorf("attaching a passing XDP program to %s of %s: %w", e.Name, e.Host.Name, err))
	}
}

// attachXDP attaches a program in native mode until the lab closes.
func (e *End) attachXDP(prog *ebpf.Program) error {
	var lnk link.Link
	err := e.Host.Do(func() (err error) {
		lnk, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: e.Index, Flags: link.XDPDriverMode})
		return err
	})
	if err != nil {
		return err
	}
	e.Host.lab.onClose(lnk.Close)
	return nil
}

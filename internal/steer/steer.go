// SPDX-License-Identifier: Apache-2.0

// Package steer loads, attaches and feeds the XDP program that hands our own
// probes' replies to the AF_XDP sockets. It is the only user of package bpf.
package steer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/bpf"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// Options say how to load the program.
type Options struct {
	Secret packet.Secret
	// Queues is how many receive queues it can serve: the most that the
	// interface can have, since queues may be added while it runs. A frame of a queue
	// beyond passes uncounted.
	Queues int
}

// Program is the loaded XDP program with its maps. Any goroutine may call its
// methods.
type Program struct {
	secret packet.Secret

	mu      sync.RWMutex // guards what follows; held for writing while any of it is replaced
	objects bpf.SteerObjects
	filter  *packet.Filter // what the maps hold
	link    link.Link      // nil while it is not attached
	before  Counters       // of what was loaded before Fit
}

// Load loads the program into the kernel, attached to nothing. It needs Linux
// 5.18 and the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN.
func Load(o Options) (*Program, error) {
	p := &Program{secret: o.Secret, filter: new(packet.Filter)}
	var err error
	if p.objects, err = loadObjects(o); err != nil {
		return nil, err
	}
	return p, nil
}

func loadObjects(o Options) (objects bpf.SteerObjects, err error) {
	spec, err := bpf.LoadSteer()
	if err != nil {
		return objects, fmt.Errorf("read the XDP program: %w", err)
	}
	for name, value := range map[string]uint64{bpf.SteerVarSecret0: o.Secret[0], bpf.SteerVarSecret1: o.Secret[1]} {
		if err := spec.Variables[name].Set(value); err != nil {
			return objects, fmt.Errorf("set constant %s of the XDP program: %w", name, err)
		}
	}
	spec.Maps[bpf.SteerMapXsks].MaxEntries = uint32(o.Queues)
	spec.Maps[bpf.SteerMapQueues].MaxEntries = uint32(o.Queues)
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return objects, loadError(err)
	}
	return objects, nil
}

// Fit makes the program serve this many receive queues at least. Where it was
// loaded for fewer it is loaded anew, with the same filter; its counters go on. It
// must not be attached, and the sockets have to be registered again.
func (p *Program) Fit(queues int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil {
		return errors.New("load the XDP program for more queues: it is attached; detach it first")
	}
	if queues <= int(p.objects.Xsks.MaxEntries()) {
		return nil
	}
	counted, err := p.counters()
	if err != nil {
		return err
	}
	objects, err := loadObjects(Options{Secret: p.secret, Queues: queues})
	if err != nil {
		return err
	}
	filter, old := p.filter, p.objects
	p.objects, p.filter, p.before = objects, new(packet.Filter), counted
	return errors.Join(old.Close(), p.setFilter(filter))
}

// Close detaches the program and unloads it.
func (p *Program) Close() error {
	err := p.Detach()
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(err, p.objects.Close())
}

// loadError says what to do about a program that does not load.
func loadError(err error) error {
	if errors.Is(err, unix.EPERM) && !verifierSpoke(err) {
		return exitcode.With(exitcode.NoPermission,
			fmt.Errorf("load the XDP program: %w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", unix.EPERM))
	}
	if v, verr := features.LinuxVersionCode(); verr == nil && v < 5<<16|18<<8 {
		return exitcode.With(exitcode.Unavailable,
			fmt.Errorf("load the XDP program: %w: Linux %d.%d lacks XDP with fragments, which came with 5.18", err, v>>16, v>>8&0xff))
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("load the XDP program: %w", err))
}

// verifierSpoke says whether the kernel read the program before it refused it.
func verifierSpoke(err error) bool {
	var v *ebpf.VerifierError
	return errors.As(err, &v) && len(v.Log) > 0
}

// Register hands the replies of a receive queue to an AF_XDP socket, until that
// socket is closed.
func (p *Program) Register(queue, fd int) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if err := p.objects.Xsks.Update(uint32(queue), uint32(fd), ebpf.UpdateAny); err != nil {
		return fmt.Errorf("hand queue %d of %d to its AF_XDP socket: %w", queue, p.objects.Xsks.MaxEntries(), err)
	}
	return nil
}

// SetFilter makes f the filter. What is in both the old filter and the new one
// stays in force throughout. f must not change afterwards.
func (p *Program) SetFilter(f *packet.Filter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.setFilter(f)
}

func (p *Program) setFilter(f *packet.Filter) error {
	for i, s := range [...]struct {
		what     string
		old, new *packet.Ports
	}{ // in the order of enum port_set in bpf/include/steer.h
		{"local TCP", &p.filter.LocalTCP, &f.LocalTCP},
		{"local UDP", &p.filter.LocalUDP, &f.LocalUDP},
		{"remote TCP", &p.filter.RemoteTCP, &f.RemoteTCP},
	} {
		if *s.old == *s.new {
			continue
		}
		if err := p.objects.Ports.Put(uint32(i), &bpf.SteerPortBits{Words: *s.new}); err != nil {
			return fmt.Errorf("give the XDP program its %s ports: %w", s.what, err)
		}
	}
	for _, a := range f.Locals() {
		if p.filter.HasLocal(a) {
			continue
		}
		if err := p.objects.Locals.Put(bpf.SteerLocalAddr{Bytes: a}, uint8(1)); err != nil {
			return fmt.Errorf("give the XDP program the local address %v: %w", text(a), err)
		}
	}
	if err := p.setUsual(f); err != nil {
		return err
	}
	for _, a := range p.filter.Locals() {
		if f.HasLocal(a) {
			continue
		}
		if err := p.objects.Locals.Delete(bpf.SteerLocalAddr{Bytes: a}); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("take the local address %v from the XDP program: %w", text(a), err)
		}
	}
	p.filter = f
	return nil
}

// setUsual tells the program which local address to look for first: any of f.
func (p *Program) setUsual(f *packet.Filter) error {
	var usual bpf.SteerUsualLocal
	if all := f.Locals(); len(all) > 0 {
		usual.Words[0] = binary.NativeEndian.Uint64(all[0][:])
		usual.Words[1] = binary.NativeEndian.Uint64(all[0][8:])
		usual.Set = 1
	}
	if err := p.objects.Usual.Put(uint32(0), &usual); err != nil {
		return fmt.Errorf("give the XDP program the local address to look for first: %w", err)
	}
	return nil
}

// QueueCounters counts the frames that came in on one receive queue since the
// program was loaded.
type QueueCounters struct {
	Steered uint64 // handed to the AF_XDP socket
	Passed  uint64 // left to the host
}

// Counters counts frames since the program was loaded.
type Counters struct {
	Queues   []QueueCounters         // by receive queue
	Verdicts [packet.Verdicts]uint64 // over all queues, by packet.Verdict
}

// Counters reads the counters. It costs a system call per queue: call it for a
// scrape, not per packet.
func (p *Program) Counters() (Counters, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.counters()
}

func (p *Program) counters() (Counters, error) {
	c := Counters{Queues: make([]QueueCounters, p.objects.Queues.MaxEntries()), Verdicts: p.before.Verdicts}
	copy(c.Queues, p.before.Queues)
	for q := range c.Queues {
		var perCPU []bpf.SteerQueueCounters
		if err := p.objects.Queues.Lookup(uint32(q), &perCPU); err != nil {
			return Counters{}, fmt.Errorf("read the XDP program's counters of queue %d: %w", q, err)
		}
		for _, cpu := range perCPU {
			for v, n := range cpu.Frames[:packet.Verdicts] {
				c.Verdicts[v] += n
				if packet.Verdict(v).Steered() {
					c.Queues[q].Steered += n
				} else {
					c.Queues[q].Passed += n
				}
			}
		}
	}
	return c, nil
}

// SPDX-License-Identifier: Apache-2.0

package xsk

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"
)

// This file is the only one in the program with unsafe code or raw system
// calls. The library maps the rings, but moves descriptors without memory
// barriers and panics on errnos it does not know; so the rings it mapped are
// read out of it once, by reflection, and moved here with atomic loads and
// stores (kernel: net/xdp/xsk_queue.h describes the protocol).

// libraryVersion is the version of github.com/asavie/xdp whose unexported
// fields ringsOf reads; a test compares it with go.mod.
const libraryVersion = "v0.3.3"

// ring is one of the four shared rings, with entries of type T. One goroutine
// at a time may use it.
type ring[T uint64 | unix.XDPDesc] struct {
	producer *atomic.Uint32
	consumer *atomic.Uint32
	entries  []T
	mask     uint32
}

func (r *ring[T]) at(i uint32) *T { return &r.entries[i&r.mask] }

// rings are those of one socket. The kernel consumes fill and tx, and produces
// completion and rx.
type rings struct {
	fill       ring[uint64]
	completion ring[uint64]
	rx         ring[unix.XDPDesc]
	tx         ring[unix.XDPDesc]
}

// ringsOf reads the rings that the library mapped for s.
func ringsOf(s *xdp.Socket) (r rings, err error) {
	v := reflect.ValueOf(s).Elem()
	if r.fill, err = ringOf[uint64](v, "fillRing"); err != nil {
		return r, err
	}
	if r.completion, err = ringOf[uint64](v, "completionRing"); err != nil {
		return r, err
	}
	if r.rx, err = ringOf[unix.XDPDesc](v, "rxRing"); err != nil {
		return r, err
	}
	r.tx, err = ringOf[unix.XDPDesc](v, "txRing")
	return r, err
}

func ringOf[T uint64 | unix.XDPDesc](socket reflect.Value, name string) (ring[T], error) {
	unlike := func(what string) (ring[T], error) {
		return ring[T]{}, fmt.Errorf("github.com/asavie/xdp is not %s: Socket.%s %s; build with that version", libraryVersion, name, what)
	}
	v := socket.FieldByName(name)
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return unlike("is missing")
	}
	counter := reflect.TypeFor[*uint32]()
	p, c, d := v.FieldByName("Producer"), v.FieldByName("Consumer"), v.FieldByName("Descs")
	switch {
	case !p.IsValid() || !c.IsValid() || p.Type() != counter || c.Type() != counter:
		return unlike("has no *uint32 Producer and Consumer")
	case !d.IsValid() || d.Kind() != reflect.Slice || d.Type().Elem().Size() != unsafe.Sizeof(*new(T)):
		return unlike("has other descriptors")
	case p.IsNil() || c.IsNil() || d.Len() == 0 || d.Len()&(d.Len()-1) != 0:
		return unlike("was not mapped with a power of two of entries")
	}
	return ring[T]{
		producer: (*atomic.Uint32)(p.UnsafePointer()),
		consumer: (*atomic.Uint32)(c.UnsafePointer()),
		entries:  unsafe.Slice((*T)(d.UnsafePointer()), d.Len()),
		mask:     uint32(d.Len() - 1),
	}, nil
}

// unmap gives the mapping of a ring back, which the library's Close does not
// do. Nothing may touch the ring afterwards.
func (r *ring[T]) unmap() {
	if r.producer == nil {
		return
	}
	// The producer lies in the first page of the mapping, the entries last.
	page := uintptr(unix.Getpagesize())
	start := uintptr(unsafe.Pointer(r.producer)) &^ (page - 1)
	end := uintptr(unsafe.Pointer(unsafe.SliceData(r.entries))) + uintptr(len(r.entries))*unsafe.Sizeof(*new(T))
	base := unsafe.Add(unsafe.Pointer(r.producer), -int(uintptr(unsafe.Pointer(r.producer))-start))
	_ = unix.MunmapPtr(base, end-start) // the mapping is known to exist: nothing to do about a refusal
	*r = ring[T]{}
}

// kick makes the kernel send what is in the transmit ring. It does not let the
// scheduler know: a kick takes about a microsecond and never blocks.
func kick(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// wait is ppoll(2), and like kick does not let the scheduler know: it would wake a
// thread to look for other work, each time, for a sleep of a millisecond. The caller must not
// be one that others wait for to run: see engine.Run. A signal ends it, by which
// the runtime stops a goroutine.
func wait(fds []unix.PollFd, timeout unix.Timespec) {
	_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)), uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
}

// SPDX-License-Identifier: Apache-2.0

// Package xsk opens AF_XDP sockets and moves frames through them. It is the
// only importer of github.com/asavie/xdp, which opens the socket, its UMEM and
// its rings; nothing of the library leaks out.
package xsk

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// MetaLen is how many bytes of metadata Frame returns with a frame.
const MetaLen = 24

// Options say which socket to open.
type Options struct {
	Ifindex   int
	Queue     int
	RxFrames  int    // frames that wait to be received; a power of two
	TxFrames  int    // frames that can be on their way out; a power of two
	FrameSize int    // bytes, 2048 or 4096; the kernel keeps 256 for itself
	Bind      string // "copy", "zerocopy" or "auto"
}

// MaxFrame is the longest Ethernet frame in bytes that a socket opened with
// this frame size can receive: the kernel keeps XDP_PACKET_HEADROOM in front.
func MaxFrame(frameSize int) int { return frameSize - 256 }

// Outcome is what became of frames given to Kick.
type Outcome uint8

const (
	Sent     Outcome = iota
	RingFull         // the kernel would not take it now
	LinkDown         // no carrier, or the interface is down
	Dead             // the socket is of no more use: its device is gone
)

// Socket is one AF_XDP socket on one queue of one interface. One goroutine at
// a time may use it; Stats may be called from any.
type Socket struct {
	lib   *xdp.Socket
	rings rings
	umem  []byte
	fd    int
	zero  bool // zero-copy: the driver sends when it likes
	dead  bool // its device is gone

	frameSize uint64
	free      []uint64 // transmit frames not in the ring
	reserved  uint64   // the frame Reserve handed out
	again     bool     // it already stands in the transmit ring
	base      uint32   // where in the ring the queued frames begin
	queued    uint32   // how many they are
	received  uint32   // consumer position of the frames being looked at
	waiting   uint32   // how many of them
	expected  uint32   // how many frames the kernel shall have to receive into
	spare     []uint64 // receive frames that it does not have
}

// openMu guards the library's global bind flags.
var openMu sync.Mutex

// Open binds a socket to one queue. A queue that was in use a moment ago
// stays busy for some milliseconds, so EBUSY is tried again for two seconds, ever
// less often: the library leaks the rings of each attempt that fails, a few
// pages. The caller must be in the interface's network namespace.
func Open(o Options) (*Socket, error) {
	var flags uint16
	switch o.Bind {
	case "copy":
		flags = unix.XDP_COPY
	case "zerocopy":
		flags = unix.XDP_ZEROCOPY
	case "auto":
	default:
		return nil, fmt.Errorf("open AF_XDP socket: bind mode %q is none of copy, zerocopy, auto", o.Bind)
	}
	lib, err := bind(o, flags)
	for pause := 16 * time.Millisecond; err != nil && is(err, unix.EBUSY) && pause < 2*time.Second; pause *= 2 {
		time.Sleep(pause)
		lib, err = bind(o, flags)
	}
	if err != nil {
		return nil, explain(o, err)
	}
	s := &Socket{
		lib: lib, fd: lib.FD(),
		umem:      lib.GetFrame(xdp.Desc{Len: uint32((o.RxFrames + o.TxFrames) * o.FrameSize)}),
		frameSize: uint64(o.FrameSize),
		zero:      o.Bind == "zerocopy",
		free:      make([]uint64, 0, o.TxFrames),
		expected:  uint32(o.RxFrames),
		spare:     make([]uint64, 0, o.RxFrames),
	}
	unix.CloseOnExec(s.fd)
	if s.rings, err = ringsOf(lib); err != nil {
		return nil, errors.Join(err, lib.Close())
	}
	if o.Bind == "auto" {
		opts, err := unix.GetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
		s.zero = err == nil && opts&unix.XDP_OPTIONS_ZEROCOPY != 0
	}
	for i := range o.RxFrames {
		*s.rings.fill.at(uint32(i)) = uint64(i * o.FrameSize)
	}
	s.rings.fill.producer.Store(uint32(o.RxFrames))
	for i := range o.TxFrames {
		s.free = append(s.free, uint64((o.RxFrames+i)*o.FrameSize))
	}
	return s, nil
}

func bind(o Options, flags uint16) (*xdp.Socket, error) {
	openMu.Lock()
	defer openMu.Unlock()
	xdp.DefaultSocketFlags = flags
	return xdp.NewSocket(o.Ifindex, o.Queue, &xdp.SocketOptions{
		NumFrames: o.RxFrames + o.TxFrames, FrameSize: o.FrameSize,
		FillRingNumDescs: o.RxFrames, CompletionRingNumDescs: o.TxFrames,
		RxRingNumDescs: o.RxFrames, TxRingNumDescs: o.TxFrames,
	})
}

// is says whether the library's error, which does not wrap, is this errno.
func is(err error, errno unix.Errno) bool { return strings.Contains(err.Error(), errno.Error()) }

func explain(o Options, err error) error {
	what := fmt.Sprintf("open AF_XDP socket on interface index %d, queue %d", o.Ifindex, o.Queue)
	switch {
	case is(err, unix.EPERM), is(err, unix.EACCES):
		return exitcode.With(exitcode.NoPermission, fmt.Errorf("%s: %w; run as root or give CAP_NET_RAW and CAP_NET_ADMIN", what, err))
	case is(err, unix.ENOBUFS), is(err, unix.ENOMEM):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s: %w; raise the locked-memory limit (ulimit -l, LimitMEMLOCK=) or give CAP_IPC_LOCK: %d KiB are needed for each queue",
			what, err, (o.RxFrames+o.TxFrames)*o.FrameSize/1024))
	case is(err, unix.EAFNOSUPPORT):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s: %w; the kernel lacks CONFIG_XDP_SOCKETS", what, err))
	case is(err, unix.EBUSY):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s: %w; another program has an AF_XDP socket on it: stop it first", what, err))
	case is(err, unix.EOPNOTSUPP), is(err, unix.EINVAL):
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s, bind %s: %w; the driver does not offer it: use --bind copy", what, o.Bind, err))
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("%s: %w", what, err))
}

// FD is the file descriptor to register in the XDP program's socket map and to
// wait on.
func (s *Socket) FD() int { return s.fd }

// ZeroCopy says whether the driver reads the UMEM itself.
func (s *Socket) ZeroCopy() bool { return s.zero }

// Receive returns how many frames can be looked at with Frame now, at most
// limit. They stay until Release.
func (s *Socket) Receive(limit int) int {
	r := &s.rings.rx
	s.received = r.consumer.Load()
	s.waiting = min(r.producer.Load()-s.received, uint32(limit))
	return int(s.waiting)
}

// Frame returns frame i of those that Receive counted, and the MetaLen bytes
// in front of it, which hold metadata if the XDP program wrote any. Both
// belong to the kernel again after Release.
func (s *Socket) Frame(i int) (frame, meta []byte) {
	d := s.rings.rx.at(s.received + uint32(i))
	return s.umem[d.Addr : d.Addr+uint64(d.Len)], s.umem[d.Addr-MetaLen : d.Addr]
}

// Expect says how many frames may arrive until the next Expect. The kernel takes
// frames in turn, so with all of them every packet would be received into memory that no
// cache holds any more: it gets as many as are expected, the ones used last. A
// driver that receives into the frames itself gets all, for its own ring.
func (s *Socket) Expect(frames int) {
	if s.zero {
		return
	}
	s.expected = uint32(min(max(frames, 0), cap(s.spare)))
	fill := &s.rings.fill
	p := fill.producer.Load()
	if lacks := int32(s.expected - (p - fill.consumer.Load())); lacks > 0 {
		n := uint32(min(int(lacks), len(s.spare)))
		s.refill(p, n)
		fill.producer.Store(p + n)
	}
}

// refill puts spare frames into the fill ring behind p, the ones used last first.
func (s *Socket) refill(p, n uint32) {
	for i := range n {
		*s.rings.fill.at(p + i) = s.spare[len(s.spare)-1]
		s.spare = s.spare[:len(s.spare)-1]
	}
}

// Release takes the frames that Receive counted back, and gives the kernel as
// many as it shall have.
func (s *Socket) Release() {
	if s.waiting == 0 {
		return
	}
	rx, fill := &s.rings.rx, &s.rings.fill
	for i := range s.waiting {
		// A received address includes the headroom: back to the chunk's start.
		s.spare = append(s.spare, rx.at(s.received+i).Addr&^(s.frameSize-1))
	}
	rx.consumer.Store(s.received + s.waiting)
	s.waiting = 0
	p := fill.producer.Load()
	if lacks := int32(s.expected - (p - fill.consumer.Load())); lacks > 0 {
		n := uint32(min(int(lacks), len(s.spare)))
		s.refill(p, n)
		fill.producer.Store(p + n)
	}
}

// Reserve returns an empty frame to write a packet into, or nil when all are
// on their way out. Queue must follow before the next Reserve.
func (s *Socket) Reserve() []byte {
	tx := &s.rings.tx
	if s.queued == 0 {
		s.complete()
		s.base = tx.producer.Load()
		if !s.zero {
			s.base = tx.consumer.Load()
		}
	}
	switch pos := s.base + s.queued; {
	case pos != tx.producer.Load() && !s.zero && int32(pos-tx.producer.Load()) < 0:
		// A frame that was not taken stands here: its place is used again.
		s.reserved, s.again = tx.at(pos).Addr, true
	case len(s.free) == 0 || pos-tx.consumer.Load() > tx.mask:
		return nil
	default:
		s.reserved, s.again = s.free[len(s.free)-1], false
	}
	return s.umem[s.reserved : s.reserved+s.frameSize : s.reserved+s.frameSize]
}

// Queue puts the reserved frame, length bytes of it, behind those that the
// next Kick sends.
func (s *Socket) Queue(length int) {
	if !s.again {
		s.free = s.free[:len(s.free)-1]
	}
	*s.rings.tx.at(s.base + s.queued) = unix.XDPDesc{Addr: s.reserved, Len: uint32(length)}
	s.queued++
}

// complete takes back the frames that the kernel has sent.
func (s *Socket) complete() {
	r := &s.rings.completion
	c, p := r.consumer.Load(), r.producer.Load()
	if c == p {
		return
	}
	for ; c != p; c++ {
		s.free = append(s.free, *r.at(c))
	}
	r.consumer.Store(c)
}

// Kick sends the queued frames at once, and returns how many of them left, the
// first ones. Sent means all: the kernel took them from the ring and passed
// them to the driver. After any other outcome the rest never leaves.
func (s *Socket) Kick() (int, Outcome) {
	tx := &s.rings.tx
	base, n := s.base, s.queued
	if n == 0 {
		return 0, Sent
	}
	s.queued = 0
	if end := base + n; int32(end-tx.producer.Load()) > 0 {
		tx.producer.Store(end)
	}
	for range 8 + n {
		switch errno := kick(s.fd); errno {
		case 0:
			if s.zero || tx.consumer.Load()-base >= n {
				return int(n), Sent
			}
		case unix.EAGAIN, unix.EINTR, unix.ENOBUFS: // kick again
		case unix.EBUSY: // no carrier: one completed, but not sent (net/xdp/xsk.c)
			kick(s.fd) // only the next look at the ring publishes the consumer
			taken := min(tx.consumer.Load()-base, n)
			s.disarm(base+taken, base+n)
			return int(max(taken, 1) - 1), LinkDown
		case unix.ENETDOWN:
			return s.cut(base, n), LinkDown
		default:
			s.dead = true
			return s.cut(base, n), Dead
		}
	}
	return s.cut(base, n), RingFull
}

// cut disarms those of n frames that were not taken, and returns how many were.
func (s *Socket) cut(base, n uint32) int {
	taken := min(s.rings.tx.consumer.Load()-base, n)
	s.disarm(base+taken, base+n)
	return int(taken)
}

// disarm makes frames that the kernel did not take harmless: they may still
// leave, when the link is up again and something looks at the socket, but then
// addressed to ourselves, where no switch delivers them.
func (s *Socket) disarm(from, to uint32) {
	for ; from != to; from++ {
		f := s.umem[s.rings.tx.at(from).Addr:]
		copy(f[:6], f[6:12])
	}
}

// Dead says whether the socket is of no more use: it asks the kernel, which
// unbinds a socket whose device is deleted or moved to another namespace, and
// leaves ENETDOWN as its error once (xsk_notifier in net/xdp/xsk.c). What had
// arrived before can still be received.
func (s *Socket) Dead() bool {
	if !s.dead {
		errno, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		s.dead = err != nil || errno != 0
	}
	return s.dead
}

// Stats are the kernel's counts of what it could not deliver.
type Stats struct {
	RxRingFull    uint64 // replies dropped: we did not read in time
	FillRingEmpty uint64 // replies dropped: no frame to put them in
	RxDropped     uint64 // replies dropped for other reasons
	TxInvalid     uint64 // descriptors that the kernel did not accept
}

// Stats asks the kernel.
func (s *Socket) Stats() (Stats, error) {
	st, err := s.lib.Stats()
	if err != nil {
		return Stats{}, fmt.Errorf("read AF_XDP statistics: %w", err)
	}
	k := st.KernelStats
	return Stats{RxRingFull: k.Rx_ring_full, FillRingEmpty: k.Rx_fill_ring_empty_descs, RxDropped: k.Rx_dropped, TxInvalid: k.Tx_invalid_descs}, nil
}

// Close gives everything back. The queue may stay busy for some milliseconds.
func (s *Socket) Close() error {
	s.rings.fill.unmap()
	s.rings.completion.unmap()
	s.rings.rx.unmap()
	s.rings.tx.unmap()
	if err := s.lib.Close(); err != nil {
		return fmt.Errorf("close AF_XDP socket: %w", err)
	}
	return nil
}

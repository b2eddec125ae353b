// SPDX-License-Identifier: Apache-2.0

package xsk

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// pair is two sockets at the ends of a veth pair, each getting every frame
// that arrives.
type pair struct {
	ends    [2]*lab.End
	sockets [2]*Socket
}

func newPair(t *testing.T, o Options) *pair {
	t.Helper()
	l := lab.ForTest(t, "xsk")
	a, b := l.Connect(l.Host("a"), l.Host("b"), lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	p := &pair{ends: [2]*lab.End{a, b}}
	for i, end := range p.ends {
		p.sockets[i] = open(t, end, o)
		steerAll(t, end, p.sockets[i])
	}
	return p
}

func open(t *testing.T, end *lab.End, o Options) *Socket {
	t.Helper()
	o.Ifindex = end.Index
	var s *Socket
	if err := end.Host.Do(func() (err error) { s, err = Open(o); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// steerAll attaches an XDP program that redirects every frame of the queue to
// the socket.
func steerAll(t *testing.T, end *lab.End, s *Socket) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Put(uint32(0), uint32(s.FD())); err != nil {
		t.Fatal(err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R3, 2),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = end.Host.Do(func() error {
		at, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: end.Index})
		if err == nil {
			t.Cleanup(func() { at.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

var small = Options{RxFrames: 8, TxFrames: 8, FrameSize: 2048, Bind: "copy"}

// frame writes an Ethernet frame from end 0 to end 1 with an experimental
// ethertype (RFC 5342) and a number in it.
func (p *pair) frame(b []byte, n int) int {
	b = append(b[:0], p.ends[1].MAC...)
	b = append(b, p.ends[0].MAC...)
	b = append(b, 0x88, 0xb5)
	b = fmt.Appendf(b, "probe %06d ", n)
	return len(append(b, bytes.Repeat([]byte{'x'}, 40)...))
}

// send sends frames from end 0 in one kick.
func (p *pair) send(numbers ...int) Outcome {
	s := p.sockets[0]
	for _, n := range numbers {
		b := s.Reserve()
		if b == nil {
			return noFrame
		}
		s.Queue(p.frame(b, n))
	}
	n, outcome := s.Kick()
	if (n == len(numbers)) != (outcome == Sent) {
		panic(fmt.Sprintf("%d of %d frames sent, outcome %d", n, len(numbers), outcome))
	}
	return outcome
}

// noFrame is what send returns when Reserve has nothing.
const noFrame = Outcome(99)

// receive waits for one frame and returns its text.
func (p *pair) receive(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		text := ""
		for i := range p.sockets[1].Receive(64) {
			// The rest is what hosts say to each other, and what is not for us.
			if b, _ := p.sockets[1].Frame(i); bytes.Equal(b[12:14], []byte{0x88, 0xb5}) && bytes.Equal(b[:6], p.ends[1].MAC) {
				text = string(b[14:26])
			}
		}
		p.sockets[1].Release()
		if text != "" {
			return text
		}
		NewWaiter(p.sockets[1:]).Wait(10 * time.Millisecond)
	}
	t.Fatal("no frame within 5 s")
	return ""
}

// Frames leave one by one and arrive whole, far more of them than the rings
// hold: descriptors come back.
func TestFramesArriveInOrderBeyondTheRings(t *testing.T) {
	p := newPair(t, small)
	for n := range 100 {
		if got := p.send(n); got != Sent {
			t.Fatalf("frame %d: outcome %d", n, got)
		}
		if got, want := p.receive(t), fmt.Sprintf("probe %06d", n); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// One kick carries several frames, more than one batch of the kernel's, in
// order; and after a link that was down in between, none of them is stale.
func TestKickCarriesMany(t *testing.T) {
	o := small
	o.RxFrames, o.TxFrames = 128, 64
	p := newPair(t, o)
	numbers := make([]int, 64)
	for round := range 10 {
		for i := range numbers {
			numbers[i] = 100*round + i
		}
		if got := p.send(numbers...); got != Sent {
			t.Fatalf("outcome %d", got)
		}
		for i := 0; i < len(numbers); {
			for j := range p.sockets[1].Receive(1000) {
				b, _ := p.sockets[1].Frame(j)
				if !bytes.Equal(b[12:14], []byte{0x88, 0xb5}) || !bytes.Equal(b[:6], p.ends[1].MAC) {
					continue
				}
				if got, want := string(b[14:26]), fmt.Sprintf("probe %06d", numbers[i]); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
				i++
			}
			p.sockets[1].Release()
		}
		p.ends[0].SetUp(false)
		if got := p.send(666661, 666662, 666663); got != LinkDown {
			t.Fatalf("link down: outcome %d", got)
		}
		if got := p.send(666664); got != LinkDown {
			t.Fatalf("link down: outcome %d", got)
		}
		p.ends[0].SetUp(true)
		if got := p.send(numbers[0]); got != Sent {
			t.Fatalf("link up again: outcome %d", got)
		}
		if got, want := p.receive(t), fmt.Sprintf("probe %06d", numbers[0]); got != want {
			t.Fatalf("link up again: %q, want %q", got, want)
		}
	}
}

// A receiver that does not read loses what its ring cannot hold, and the
// kernel's count says how much.
func TestOverflowIsCounted(t *testing.T) {
	p := newPair(t, small)
	for n := range 20 {
		if got := p.send(n); got != Sent {
			t.Fatalf("frame %d: outcome %d", n, got)
		}
	}
	if n := p.sockets[1].Receive(64); n != 8 {
		t.Errorf("%d frames wait, want the ring's 8", n)
	}
	p.sockets[1].Release()
	st, err := p.sockets[1].Stats()
	if err != nil {
		t.Fatal(err)
	}
	if lost := st.RxRingFull + st.FillRingEmpty + st.RxDropped; lost < 12 {
		t.Errorf("the kernel counts %d lost of 12: %+v", lost, st)
	}
	p.send(77)
	if got := p.receive(t); got != "probe 000077" {
		t.Errorf("after the overflow: %q", got)
	}
}

// The kernel has as many frames as are expected, at once when that rises, and
// each of them once.
func TestExpectedFramesAreThere(t *testing.T) {
	p := newPair(t, small)
	s := p.sockets[1]
	next := 0
	waiting := func(send int) int {
		t.Helper()
		for range send {
			if got := p.send(next); got != Sent {
				t.Fatalf("frame %d: outcome %d", next, got)
			}
			next++
		}
		places := map[*byte]bool{}
		n := s.Receive(64)
		for i := range n {
			b, _ := s.Frame(i)
			places[&b[0]] = true
		}
		if len(places) != n {
			t.Errorf("%d frames wait in %d places", n, len(places))
		}
		s.Release()
		return n
	}
	for range 3 {
		s.Expect(2)
		waiting(8) // of all that the kernel had until now
		for range 20 {
			if n := waiting(3); n != 2 {
				t.Fatalf("%d frames arrived where 2 are expected", n)
			}
		}
		for _, expected := range []int{4, 8, 99} {
			s.Expect(expected)
			if n := waiting(9); n != min(expected, 8) {
				t.Errorf("%d frames arrived where %d are expected", n, expected)
			}
		}
	}
}

// What is not sent while the link is down never leaves, also not when it is up
// again, and no frame is lost to the pool.
func TestLinkDownIsNotSentAndNeverLeaves(t *testing.T) {
	p := newPair(t, small)
	for _, c := range []struct {
		what string
		end  int
	}{{"our end down", 0}, {"no carrier", 1}} {
		p.ends[c.end].SetUp(false)
		for n := range 30 {
			if got := p.send(666666); got != LinkDown {
				t.Fatalf("%s: frame %d: outcome %d, want LinkDown", c.what, n, got)
			}
		}
		p.ends[c.end].SetUp(true)
		time.Sleep(50 * time.Millisecond)
		NewWaiter(p.sockets[:1]).Wait(0) // poll sends leftovers
		if got := p.send(1); got != Sent {
			t.Fatalf("%s, then up: outcome %d", c.what, got)
		}
		if got := p.receive(t); got != "probe 000001" {
			t.Errorf("%s, then up: %q left", c.what, got)
		}
	}
}

// The queue of a closed socket can be bound again at once, many times, and
// closing leaves no mapping of the socket.
func TestReopen(t *testing.T) {
	l := lab.ForTest(t, "xsk")
	a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{})
	o := small
	o.Ifindex = a.Index
	for range 10 {
		err := a.Host.Do(func() error {
			s, err := Open(o)
			if err != nil {
				return err
			}
			inode, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", s.FD()))
			if err != nil {
				return err
			}
			if n := mappings(t, inode); n != 4 {
				t.Errorf("an open socket has %d mappings, want its 4 rings", n)
			}
			if err := s.Close(); err != nil {
				return err
			}
			if n := mappings(t, inode); n != 0 {
				t.Errorf("a closed socket has %d mappings", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func mappings(t *testing.T, of string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), of)
}

func TestOpenExplainsRefusals(t *testing.T) {
	l := lab.ForTest(t, "xsk")
	a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{})
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"zero-copy on veth", func(o *Options) { o.Bind = "zerocopy" }, "use --bind copy"},
		{"no such queue", func(o *Options) { o.Queue = 9 }, "queue 9"},
		{"unknown mode", func(o *Options) { o.Bind = "fast" }, "none of copy, zerocopy, auto"},
	} {
		o := small
		o.Ifindex = a.Index
		c.change(&o)
		err := a.Host.Do(func() error { _, err := Open(o); return err })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if c.name != "unknown mode" && exitcode.Of(err) != exitcode.Unavailable {
			t.Errorf("%s: exit code %d", c.name, exitcode.Of(err))
		}
	}
}

func TestErrnoIsRecognised(t *testing.T) {
	err := fmt.Errorf("syscall.Bind SockaddrXDP failed: %v", unix.EBUSY)
	if !is(err, unix.EBUSY) || is(err, unix.EPERM) {
		t.Error("the library's errors are told apart by their text")
	}
}

// ringsOf relies on this very version of the library.
func TestLibraryIsThePinnedVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/asavie/xdp "+libraryVersion) {
		t.Errorf("go.mod does not ask for github.com/asavie/xdp %s", libraryVersion)
	}
}

func BenchmarkKick(b *testing.B) {
	l := lab.ForTest(b, "xsk")
	end, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{})
	var s *Socket
	o := small
	o.Ifindex, o.TxFrames = end.Index, 64
	if err := end.Host.Do(func() (err error) { s, err = Open(o); return err }); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		f := s.Reserve()
		copy(f, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5")
		s.Queue(64)
		if _, outcome := s.Kick(); outcome != Sent {
			b.Fatal("not sent")
		}
	}
}

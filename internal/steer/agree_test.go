// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/bpf"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

const (
	xdpPass     = 2
	xdpRedirect = 4
)

// judge runs frames through the XDP program as it ships, by BPF_PROG_RUN, and
// through packet.Verifier. An AF_XDP socket that is not bound to anything is
// registered on queue 0, so that the program goes all the way to its redirect, which
// a test run does not carry out. The program's reasons are read from its counters.
type judge struct {
	p        *Program
	verifier *packet.Verifier
	counts   []bpf.SteerQueueCounters
	before   [packet.Verdicts]uint64
}

func newJudge(t testing.TB) *judge {
	j := &judge{p: load(t, 1), verifier: packet.NewVerifier(packettest.Secret)}
	j.verifier.SetFilter(packettest.Filter())
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open an AF_XDP socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := j.p.Register(0, fd); err != nil {
		t.Fatal(err)
	}
	j.before = j.verdicts(t)
	return j
}

func (j *judge) verdicts(t testing.TB) (sum [packet.Verdicts]uint64) {
	if err := j.p.objects.Queues.Lookup(uint32(0), &j.counts); err != nil {
		t.Fatal(err)
	}
	for _, cpu := range j.counts {
		for v, n := range cpu.Frames[:packet.Verdicts] {
			sum[v] += n
		}
	}
	return sum
}

// agree fails where program and Verifier differ over a frame, in verdict, in
// action, in the metadata, or where the frame itself was touched. It returns the verdict.
// A test run wants at least an Ethernet header, and data_in beyond what fits a page
// becomes fragments of the buffer, which the Verifier does not know: shorter and
// longer frames are judged by the Verifier alone.
func (j *judge) agree(t testing.TB, frame []byte) packet.Verdict {
	t.Helper()
	var r packet.Reply
	want := j.verifier.Parse(frame, &r)
	if len(frame) < 14 || len(frame) > 3000 {
		return want
	}
	out := make([]byte, len(frame)+MetaLen)
	run := &ebpf.RunOptions{Data: frame, DataOut: out}
	action, err := j.p.objects.Steer.Run(run)
	if err != nil {
		t.Fatalf("run over %d bytes: %v", len(frame), err)
	}
	now := j.verdicts(t)
	var got packet.Verdict
	for v := range now {
		switch now[v] - j.before[v] {
		case 0:
		case 1:
			got = packet.Verdict(v)
		default:
			t.Fatalf("%v counted %d times", packet.Verdict(v), now[v]-j.before[v])
		}
	}
	j.before = now
	if got != want {
		t.Fatalf("program says %v, Verifier %v\n%x", got, want, frame)
	}
	if !got.Steered() {
		if action != xdpPass || !bytes.Equal(run.DataOut, frame) {
			t.Fatalf("%v: action %d, frame came out as\n%x, was\n%x", got, action, run.DataOut, frame)
		}
		return got
	}
	if action != xdpRedirect {
		t.Fatalf("%v: action %d", got, action)
	}
	if len(run.DataOut) != len(frame)+MetaLen || !bytes.Equal(run.DataOut[MetaLen:], frame) {
		t.Fatalf("%v: frame came out as\n%x, was\n%x", got, run.DataOut, frame)
	}
	meta := run.DataOut[:MetaLen]
	m, ok := ReadMeta(meta)
	if !ok || m.RxNS == 0 || m.Verdict != got {
		t.Fatalf("%v: metadata %x", got, meta)
	}
	agreeKnown(t, frame, m, &r)
	return got
}

// agreeKnown fails where what is read with the program's help is not what the
// Verifier reads alone.
func agreeKnown(t testing.TB, frame []byte, m Meta, want *packet.Reply) {
	t.Helper()
	if want.Kind == packet.Error {
		if m.Hash != 0 {
			t.Fatalf("the hash of an error is %x\n%x", m.Hash, frame)
		}
	} else if m.Hash != want.Hash {
		t.Fatalf("the program's hash is %x, want %x\n%x", m.Hash, want.Hash, frame)
	}
	got := *want
	got.Kind, got.Hash, got.Number, got.Alternate, got.TTL, got.Ack = 0, 0, ^got.Number, ^got.Number, ^got.TTL, ^got.Ack
	if want.Kind == packet.Echo {
		got.Ack = 0
	}
	tail, ok := packet.ReadKnown(frame, m.Verdict, m.Hash, &got)
	if !ok {
		return
	}
	from := want.From.As16()
	if got != *want || tail != binary.BigEndian.Uint32(from[12:]) {
		t.Fatalf("read %+v from %x, want %+v\n%x", got, tail, *want, frame)
	}
}

func TestCorpus(t *testing.T) {
	j := newJudge(t)
	for _, c := range packettest.Corpus() {
		t.Run(c.Name, func(t *testing.T) {
			if got := j.agree(t, c.Frame); got != c.Want {
				t.Errorf("verdict %v, want %v", got, c.Want)
			}
		})
	}
}

// TestTruncations cuts every frame of the corpus off after every byte: what the
// wire lost, while its length fields still speak of it.
func TestTruncations(t *testing.T) {
	j := newJudge(t)
	frames, steered := 0, 0
	for _, c := range packettest.Corpus() {
		for n := range min(len(c.Frame), 200) {
			if j.agree(t, c.Frame[:n]).Steered() {
				steered++
			}
			frames++
		}
	}
	t.Logf("%d frames, of which %d still held all that is looked at", frames, steered)
	if steered == 0 || steered > frames/4 {
		t.Errorf("%d of %d truncated frames steered", steered, frames)
	}
}

// TestMutations changes the corpus at random, a little at a time, since most of
// what is random all over goes no further than its first check.
func TestMutations(t *testing.T) {
	j := newJudge(t)
	random := rand.New(rand.NewPCG(1, 2))
	corpus := packettest.Corpus()
	var seen [packet.Verdicts]int
	for range 100000 {
		frame := mutate(random, corpus)
		seen[j.agree(t, frame)]++
	}
	for v := packet.Verdict(1); v < packet.NoSocket; v++ {
		if seen[v] == 0 {
			t.Errorf("no mutation came to verdict %v", v)
		}
	}
	t.Log(describe(seen))
}

func describe(seen [packet.Verdicts]int) string {
	var b bytes.Buffer
	for v, n := range seen {
		if n > 0 {
			fmt.Fprintf(&b, "%v %d, ", packet.Verdict(v), n)
		}
	}
	return b.String()
}

// interesting bytes are those at which a rule changes its mind.
var interesting = []byte{0, 1, 4, 5, 6, 0x0f, 0x14, 0x20, 0x2c, 0x3a, 0x3c, 0x45, 0x46, 0x60, 0x7f, 0x80, 0x81, 0xff}

func mutate(random *rand.Rand, corpus []packettest.Case) []byte {
	frame := slices.Clone(corpus[random.IntN(len(corpus))].Frame)
	for range random.IntN(4) {
		if len(frame) == 0 {
			break
		}
		i := random.IntN(len(frame))
		switch random.IntN(6) {
		case 0:
			frame[i] = byte(random.Uint32())
		case 1:
			frame[i] = interesting[random.IntN(len(interesting))]
		case 2:
			frame[i] ^= 1 << random.IntN(8)
		case 3:
			frame = frame[:i]
		case 4:
			frame = append(frame, make([]byte, random.IntN(9))...)
		case 5: // a header of another frame in the middle
			other := corpus[random.IntN(len(corpus))].Frame
			if len(other) > 14 {
				frame = append(frame[:i:i], other[14:]...)
			}
		}
	}
	return frame
}

// TestShortQuotes tries every checksum in an error that quotes no token, on
// flows whose hash lies where the arithmetic wraps.
func TestShortQuotes(t *testing.T) {
	j := newJudge(t)
	sweep := func(f packet.Flow, invalidID bool, checksum int) {
		probe := packettest.Dissect(packettest.Build(f, 0, 9))
		frame := probe.Error(f.Remote, 3, 3, 28)
		quoted := frame[42:]
		if invalidID {
			quoted[4] ^= 0x80
		}
		accepted := 0
		for c := range 1 << 16 {
			quoted[checksum], quoted[checksum+1] = byte(c>>8), byte(c)
			if j.agree(t, frame).Steered() {
				accepted++
			}
		}
		if want := map[packet.Proto]int{packet.UDP: packet.UDPNumbers, packet.ICMP: 1}[f.Proto]; accepted != want {
			t.Errorf("%+v: %d checksums accepted, want %d", f, accepted, want)
		}
	}
	// find tries ports, or echo identifiers, until the hash is as wanted.
	find := func(f *packet.Flow, port *uint16, wanted func(h uint64) bool) packet.Flow {
		for p := range 1 << 16 {
			*port = uint16(p)
			if wanted(packettest.Secret.Hash(f)) {
				return *f
			}
		}
		t.Fatal("no port gives such a hash")
		return *f
	}
	udp, echo := packettest.Flows()[1], packettest.Flows()[2]
	sweep(udp, true, 26)
	sweep(find(&udp, &udp.RemotePort, func(h uint64) bool { return uint16(h>>32) > 63000 }), true, 26)
	sweep(echo, false, 22)
	sweep(find(&echo, &echo.LocalPort, func(h uint64) bool { return uint16(h>>16) >= 0xfffe }), false, 22)
}

func FuzzSteerAgrees(f *testing.F) {
	for _, c := range packettest.Corpus() {
		f.Add(c.Frame)
	}
	j := newJudge(f)
	f.Fuzz(func(t *testing.T, frame []byte) { j.agree(t, frame) })
}

// TestNoSocket shows that a reply on a queue without a socket stays with the
// host, its data not moved.
func TestNoSocket(t *testing.T) {
	p := load(t, 1)
	for _, c := range packettest.Corpus() {
		if !c.Want.Steered() {
			continue
		}
		run := &ebpf.RunOptions{Data: c.Frame, DataOut: make([]byte, len(c.Frame)+MetaLen)}
		action, err := p.objects.Steer.Run(run)
		if err != nil {
			t.Fatal(err)
		}
		if action != xdpPass || !bytes.Equal(run.DataOut, c.Frame) {
			t.Fatalf("%s: action %d, frame came out as\n%x, was\n%x", c.Name, action, run.DataOut, c.Frame)
		}
	}
	c, err := p.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if c.Verdicts[packet.NoSocket] == 0 || c.Queues[0].Passed != c.Verdicts[packet.NoSocket] || c.Queues[0].Steered != 0 {
		t.Errorf("counters %+v", c)
	}
}

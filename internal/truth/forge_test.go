// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// forger listens beside a host's stack to the replies that it sends, and sends
// forged and repeated ones from the same interface.
type forger struct {
	t      *testing.T
	frames *lab.Frames

	// The first replies of each kind, to be repeated when they are old. Only
	// forge touches them until frames stops.
	kept    [][]byte
	perKind map[string]int

	// Frames sent: repeated at once; with a wrong token or from a wrong sender; to
	// an address that nobody probes from; with an acknowledgement of a probe that
	// there may be one day.
	repeated, wrong, elsewhere, ahead atomic.Uint64
}

// oldReplies is how many replies of each kind are kept.
const oldReplies = 40

func newForger(t *testing.T, at *lab.End) *forger {
	t.Helper()
	f := &forger{t: t, frames: at.Frames(unix.ETH_P_ALL), perKind: map[string]int{}}
	f.frames.Each(func(frame []byte, _ time.Time) { f.forge(frame) })
	return f
}

func (f *forger) send(frame []byte) bool {
	if err := f.frames.Send(frame); err != nil {
		f.t.Error(err)
		return false
	}
	return true
}

// forge repeats a reply, and forges three from it.
func (f *forger) forge(frame []byte) {
	r, ok := readReply(frame)
	if !ok {
		return
	}
	if f.perKind[r.kind] < oldReplies {
		f.perKind[r.kind]++
		f.kept = append(f.kept, append([]byte(nil), frame...))
	}
	forge := func(change func(b []byte)) {
		forged := append([]byte(nil), frame...)
		change(forged)
		if f.send(forged) {
			f.wrong.Add(1)
		}
	}
	forge(func(b []byte) { b[r.token] ^= 0x40 })
	forge(func(b []byte) { b[r.peer] ^= 0x40 }) // another sender, or another quoted target
	forged := append([]byte(nil), frame...)
	forged[r.us] ^= 0x40
	if f.send(forged) {
		f.elsewhere.Add(1)
	}
	if r.tcp {
		forged := append([]byte(nil), frame...)
		ack := forged[r.token : r.token+4]
		binary.BigEndian.PutUint32(ack, binary.BigEndian.Uint32(ack)+40000)
		if f.send(forged) {
			f.ahead.Add(1)
		}
	}
	if f.send(frame) {
		f.repeated.Add(1)
	}
}

// reply says where in a host's reply its parts are.
type reply struct {
	kind  string
	token int // a byte of the token that no window forgives
	peer  int // last byte of the target's address: the sender's, or the one an error quotes
	us    int // last byte of the prober's address
	tcp   bool
}

// readReply recognises the replies of a Linux host to probes.
func readReply(b []byte) (r reply, ok bool) {
	if len(b) < 14+20+16 {
		return r, false
	}
	var ip, l4, proto int
	switch binary.BigEndian.Uint16(b[12:]) {
	case unix.ETH_P_IP:
		ip, l4, proto = 14, 14+int(b[14]&15)*4, int(b[14+9])
		r.peer, r.us, r.kind = ip+15, ip+19, "ipv4"
	case unix.ETH_P_IPV6:
		ip, l4, proto = 14, 14+40, int(b[14+6])
		r.peer, r.us, r.kind = ip+23, ip+39, "ipv6"
	default:
		return r, false
	}
	const flags = 13
	switch {
	case len(b) < l4+16:
	case proto == unix.IPPROTO_TCP && (b[l4+flags] == 0x12 || b[l4+flags] == 0x14): // SYN-ACK, RST-ACK
		r.kind += map[byte]string{0x12: " syn-ack", 0x14: " rst-ack"}[b[l4+flags]]
		r.token, r.tcp = l4+8, true // the acknowledgement's top byte
		return r, true
	case proto == unix.IPPROTO_ICMP && b[l4] == 0, proto == unix.IPPROTO_ICMPV6 && b[l4] == 129:
		r.kind += " echo"
		r.token = l4 + 8
		return r, true
	case proto == unix.IPPROTO_ICMP && b[l4] == 3: // quotes IPv4, UDP, payload
		r.kind += " unreachable"
		r.token, r.peer = l4+8+20+8+2, l4+8+19
		return r, len(b) > r.token
	case proto == unix.IPPROTO_ICMPV6 && b[l4] == 1:
		r.kind += " unreachable"
		r.token, r.peer = l4+8+40+8+2, l4+8+39
		return r, len(b) > r.token
	}
	return r, false
}

// Whoever sees our probes can repeat their answers, and whoever does not can
// guess. Repeated answers are duplicates while their probes are remembered, and
// foreign afterwards; wrong tokens and right ones from a wrong address are not
// even steered. Not one of them counts as an answer or makes a loss.
func TestForgedRepliesChangeNothing(t *testing.T) {
	t.Parallel()
	const probes = 1000
	p := newPair(t, 1)
	listen(t, p.host, lab.Discard, 80, far4, far6)
	s := setup{on: p.prober, hosts: []*lab.Host{p.host}, ifaces: []string{p.nearEnd.Name}, interval: 10 * time.Second, gap: 4 * time.Millisecond,
		groups: []group{{name: "g", a: 20000, z: 20127}}} // a path carries one probe at a time, and needs it for the timeout at most
	s.targets = everyPort(probes, 250*time.Millisecond)
	f := newForger(t, p.farEnd)
	r := start(t, s)
	all := uint64(len(s.targets) * probes)
	foreign := func() uint64 { n, _ := r.page().sum(t, "netprobe_foreign_total"); return n }
	r.quiet(1, func() {
		// The forger may be behind, and the prober with what it sent last.
		r.wait(func() bool { return f.repeated.Load()+r.unable() >= all }, 4*time.Second, func() string {
			return fmt.Sprintf("%d replies were repeated, want %d: as many as there were probes", f.repeated.Load(), all)
		})
		if err := f.frames.Stop(); err != nil {
			t.Fatalf("the forger missed replies: the test is void: %v", err)
		}
		reason := func(why string) uint64 {
			n, _ := r.page().sum(t, "netprobe_passed_by_reason_total", `reason="`+why+`"`)
			return n
		}
		sent := f.repeated.Load() + f.wrong.Load() + f.ahead.Load()
		seen := func() uint64 { return r.all().Duplicates + foreign() + reason("bad_token") }
		r.wait(func() bool { return seen() >= sent }, 2*time.Second, func() string {
			return fmt.Sprintf("%d repeated and forged replies were seen, want %d", seen(), sent)
		})
		silent := r.unable()
		for _, tg := range s.targets {
			got := r.of(tg.name)
			t.Logf("%s: %s", tg.name, show(got))
			if got.Sent != probes || got.Lost > silent || notSent(got) != 0 || unknown(got) != 0 || got.Late != 0 || got.Duplicates == 0 || got.Duplicates > probes {
				t.Errorf("%s: %s; want %d sent, none lost, and no more duplicates than that", tg.name, show(got), probes)
			}
		}
		t.Logf("%d replies were repeated and %d forged: %d duplicates, %d foreign, %d with a bad token; %d of %d went elsewhere",
			f.repeated.Load(), f.wrong.Load(), r.all().Duplicates, foreign(), reason("bad_token"), reason("not_local"), f.elsewhere.Load())
		if got := seen(); got != sent {
			t.Errorf("%d repeated and forged replies were seen, want %d", got, sent)
		}
		// By chance one sequence number in 3,855 lies in the window of another
		// path: all frames forged of such a path are steered, and foreign.
		if got, want := reason("bad_token"), f.wrong.Load(); got > want || got < want-want/10 {
			t.Errorf("%d frames passed for their token, %d were forged", got, want)
		}
		// An acknowledgement that fits no probe is foreign, and counted for its target.
		if got, _ := r.page().sum(t, "tcpsyn_match_ack_fail_count"); got != f.ahead.Load() || got < 4*probes-silent {
			t.Errorf("%d acknowledgements fit no probe, %d were forged", got, f.ahead.Load())
		}
		if got, _ := r.page().sum(t, "tcpsyn_port_mismatch_count"); got != 0 {
			t.Errorf("%d port mismatches", got)
		}
		if got, want := reason("not_local"), f.elsewhere.Load(); got != want {
			t.Errorf("%d frames passed because nobody probes from their destination, %d were sent", got, want)
		}
		r.accounted()

		// The first replies again, when their probes are long forgotten.
		before, want := r.all(), foreign()+uint64(len(f.kept))
		for _, frame := range f.kept {
			f.send(frame)
		}
		r.wait(func() bool { return foreign() >= want }, 2*time.Second, func() string { return fmt.Sprintf("%d foreign frames, want %d", foreign(), want) })
		if got := foreign(); got != want || len(f.kept) != len(s.targets)*oldReplies {
			t.Errorf("%d foreign frames, want %d; %d old replies of %d kinds", got, want, len(f.kept), len(f.perKind))
		}
		if after := r.all(); show(after) != show(before) {
			t.Errorf("old replies changed the figures: %s, then %s", show(before), show(after))
		}
	})
}

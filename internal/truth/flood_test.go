// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/internal/xsk"
)

// floodVar says how many forged replies TestForgedFlood sends; make forged sets
// it to ten million.
const floodVar = "NETPROBE_FORGED"

// floodPorts is how many source ports the probes have: enough for those that
// are never answered.
const floodPorts = 128

// forgedKind is a frame that looks like a reply but for the bytes that only we
// can know, which are random in every copy.
type forgedKind struct {
	frame  []byte
	random [][2]int // from, to
	ports  []int    // where one of our source ports stands
}

// forgedKinds are replies of every type from a target, as its host or a router
// would send them: every answer, and every error about every probe. Errors quote
// the whole probe: what holds less is a weaker proof (docs/design.md).
func forgedKinds(t *testing.T, from netip.Addr, near netip.Addr) (kinds []forgedKind) {
	t.Helper()
	l4, quotedIP, echoReply := 14+20, 20, byte(0)
	errors := [][2]byte{{3, 3}, {3, 1}, {11, 0}, {12, 0}} // type, code
	if !from.Is4() {
		l4, quotedIP, echoReply = 14+40, 40, 129
		errors = [][2]byte{{1, 4}, {1, 0}, {2, 0}, {3, 0}, {4, 0}}
	}
	quoted := l4 + 8 + quotedIP
	build := func(proto packet.Proto, remotePort uint16) packettest.Probe {
		f := packet.Flow{Proto: proto, Local: near, Remote: from, LocalPort: 20000, RemotePort: remotePort}
		return packettest.Dissect(packettest.Build(f, 8, 1))
	}
	tcp, udp, echo := build(packet.TCP, 81), build(packet.UDP, 33434), build(packet.ICMP, 0)
	kinds = append(kinds,
		forgedKind{tcp.TCP(packettest.SYN|packettest.ACK, 0), [][2]int{{l4 + 8, l4 + 12}}, []int{l4 + 2}},
		forgedKind{tcp.TCP(packettest.RST|packettest.ACK, 0), [][2]int{{l4 + 8, l4 + 12}}, []int{l4 + 2}},
		forgedKind{echo.Echo(from), [][2]int{{l4 + 4, l4 + 16}}, nil},
	)
	if echoed := kinds[2].frame[l4]; echoed != echoReply {
		t.Fatalf("type %d is no echo reply", echoed)
	}
	for _, e := range errors {
		kinds = append(kinds,
			forgedKind{tcp.Error(from, e[0], e[1], -1), [][2]int{{quoted + 4, quoted + 8}}, []int{quoted}},
			forgedKind{udp.Error(from, e[0], e[1], -1), [][2]int{{quoted + 6, quoted + 16}}, []int{quoted}},
			forgedKind{echo.Error(from, e[0], e[1], -1), [][2]int{{quoted + 2, quoted + 16}}, nil},
		)
	}
	return kinds
}

// put writes a copy with other guesses.
func (k *forgedKind) put(b []byte, random *rand.Rand) int {
	n := copy(b, k.frame)
	for _, r := range k.random {
		for i := r[0]; i < r[1]; i += 8 {
			var word [8]byte
			binary.NativeEndian.PutUint64(word[:], random.Uint64())
			copy(b[i:r[1]], word[:])
		}
	}
	for _, at := range k.ports {
		binary.BigEndian.PutUint16(b[at:], 20000+uint16(random.Uint32N(floodPorts)))
	}
	return n
}

// TestForgedFlood: forged replies of every type, of both families, as fast as
// AF_XDP can send them, to targets that do not answer and to ones that do. None
// is taken for an answer; and targets behind another interface do not notice.
func TestForgedFlood(t *testing.T) {
	count := floodCount(t)
	prober, ends, addrs := star(t)
	// The host that has these says nothing.
	dead := map[string]string{"ipv4": "203.0.113.9", "ipv6": "2001:db8:9::9"}
	prober.SetRoute(dead["ipv4"]+"/32", lab.Hop{Via: addrs[0]["ipv4"]})
	prober.SetRoute(dead["ipv6"]+"/128", lab.Hop{Via: addrs[0]["ipv6"]})
	for _, addr := range dead {
		ends[0].Peer.AddAddr(addr + map[bool]string{true: "/128", false: "/32"}[addr == dead["ipv6"]])
		ends[0].Peer.Host.DropAll(lab.Input, lab.Match{To: addr})
	}
	s := setup{on: prober, hosts: []*lab.Host{ends[0].Peer.Host, ends[1].Peer.Host}, ifaces: []string{ends[0].Name, ends[1].Name},
		interval: 5 * time.Second, gap: 10 * time.Millisecond, groups: []group{{name: "g", a: 20000, z: 20000 + floodPorts - 1}}}
	s.targets = append(everyType("dead-", 200, 500*time.Millisecond, dead), everyType("live-", 200, time.Second, addrs[0])...)
	s.targets = append(s.targets, everyType("other-", 200, time.Second, addrs[1])...)
	r := start(t, s)

	var sent atomic.Uint64
	flooded := make(chan error, 1)
	var kinds []forgedKind
	for family, near := range map[string]string{"ipv4": "198.51.100.1", "ipv6": "2001:db8:1::1"} {
		for _, from := range []string{dead[family], addrs[0][family]} {
			kinds = append(kinds, forgedKinds(t, netip.MustParseAddr(from), netip.MustParseAddr(near))...)
		}
	}
	time.Sleep(usualLead) // until the first round begins
	began := time.Now()
	var took time.Duration
	go func() {
		flooded <- flood(ends[0].Peer, kinds, count, &sent)
		took = time.Since(began)
	}()
	for flooding := true; flooding; {
		select {
		case err := <-flooded:
			if flooding = false; err != nil {
				t.Fatal(err)
			}
		case <-r.ended:
			t.Fatalf("the prober ended: %v", r.err)
		}
	}
	// Rounds that begin after the flood end after it, too.
	r.quiet(r.all().Rounds+2, func() {
		page := r.page()
		sum := func(metric string, labels ...string) uint64 { n, _ := page.sum(t, metric, labels...); return n }
		flooded := `interface="` + ends[0].Name + `"`
		steered, passed := sum("netprobe_steered_total", flooded), sum("netprobe_passed_total", flooded)
		dropped := veth(t, ends[0].Peer) + veth(t, ends[0])
		t.Logf("%d forged in %v (%.0f/s): %d steered, %d passed (%d for their token), %d foreign, %d dropped by the link",
			sent.Load(), took.Round(time.Millisecond), float64(sent.Load())/took.Seconds(), steered, passed, sum("netprobe_passed_by_reason_total", `reason="bad_token"`), sum("netprobe_foreign_total"), dropped)
		if seen := steered + passed; seen+dropped < sent.Load() || sent.Load() < uint64(count) {
			t.Errorf("%d forged, and only %d seen", sent.Load(), seen)
		}
		for _, tg := range s.targets {
			got := r.of(tg.name)
			t.Logf("%s: %s", tg.name, show(got))
			var errors uint64
			for _, one := range r.series(tg.name) {
				snapshot := new(result.Snapshot)
				one.Snapshot(snapshot)
				for _, e := range snapshot.ICMPErrors {
					errors += e.Count
				}
			}
			switch tg.name[:4] {
			case "dead": // an answer, or an error, would be a forged one
				if got.Sent == 0 || got.Lost+unknown(got) != got.Sent || got.Duplicates != 0 || got.Late != 0 || errors != 0 {
					t.Errorf("%s: %s, %d errors; want all lost", tg.name, show(got), errors)
				}
			case "live": // the link itself may drop an answer under such a load
				if got.Sent == 0 || got.Lost > dropped+r.unable() || got.Duplicates != 0 || errors != 0 {
					t.Errorf("%s: %s, %d errors; want nothing lost but what the link dropped (%d)", tg.name, show(got), errors, dropped)
				}
			default:
				if got.Sent == 0 || got.Lost > r.unable() || unknown(got) != 0 || got.Duplicates != 0 || got.Late != 0 || errors != 0 {
					t.Errorf("%s: %s, %d errors; want all answered once", tg.name, show(got), errors)
				}
			}
		}
	})
}

// floodCount is how many forged replies a test sends. Those that send many do
// so alone.
func floodCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv(floodVar)
	if text == "" {
		t.Parallel()
		return 200_000
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", floodVar, err)
	}
	return count
}

// TestGuessedErrors: errors that quote no more of a UDP probe than its header are a
// proof that one guess in eight gives. As fast as AF_XDP can send them, to a target that
// does not answer, they make no answers: all but the first of a flow are not
// believed. That one may meet the number of a probe under way, or of one before it, once in
// some thousand times.
func TestGuessedErrors(t *testing.T) {
	count := floodCount(t)
	prober, ends, addrs := star(t)
	const dead = "203.0.113.9"
	prober.SetRoute(dead+"/32", lab.Hop{Via: addrs[0]["ipv4"]})
	ends[0].Peer.AddAddr(dead + "/32")
	ends[0].Peer.Host.DropAll(lab.Input, lab.Match{To: dead})
	r := start(t, setup{on: prober, hosts: []*lab.Host{ends[0].Peer.Host, ends[1].Peer.Host}, ifaces: []string{ends[0].Name, ends[1].Name},
		interval: 5 * time.Second, gap: 10 * time.Millisecond, groups: []group{{name: "g", a: 20000, z: 20000 + floodPorts - 1}},
		targets: []target{{name: "dead", kind: "UDPunreachable", addr: dead, port: 33434, packets: 400, timeout: 500 * time.Millisecond}}})
	from := netip.MustParseAddr(dead)
	probe := packettest.Dissect(packettest.Build(packet.Flow{Proto: packet.UDP, Local: netip.MustParseAddr("198.51.100.1"), Remote: from, LocalPort: 20000, RemotePort: 33434}, 8, 1))
	const quoted = 14 + 20 + 8
	kinds := []forgedKind{{probe.Error(from, 3, 3, 20+8), [][2]int{{quoted + 4, quoted + 6}, {quoted + 20 + 6, quoted + 20 + 8}}, []int{quoted + 20}}}
	time.Sleep(usualLead)
	var sent atomic.Uint64
	if err := flood(ends[0].Peer, kinds, count, &sent); err != nil {
		t.Fatal(err)
	}
	r.quiet(r.all().Rounds+2, func() {
		steered, _ := r.page().sum(t, "netprobe_steered_total")
		got := r.all()
		t.Logf("%d forged, %d of them steered: %s", sent.Load(), steered, show(got))
		if steered < sent.Load()/20 {
			t.Errorf("%d of %d came as far as our sockets; want one in eight", steered, sent.Load())
		}
		if answered := got.Sent - got.Lost - unknown(got); got.Sent == 0 || answered+got.Late+got.Duplicates > 2 {
			t.Errorf("%s; want all lost", show(got))
		}
	})
}

// flood sends count forged frames from an end, and counts what left. It rests
// now and then, so that few frames meet several probes, too.
func flood(from *lab.End, kinds []forgedKind, count int, sent *atomic.Uint64) error {
	var s *xsk.Socket
	err := from.Host.Do(func() (err error) {
		s, err = xsk.Open(xsk.Options{Ifindex: from.Index, RxFrames: 64, TxFrames: 64, FrameSize: 2048, Bind: "copy"})
		return err
	})
	if err != nil {
		return err
	}
	defer s.Close()
	part := uint64(max(1, count/20))
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := 0; sent.Load() < uint64(count); {
		for range 32 { // what one kick sends
			b := s.Reserve()
			if b == nil {
				break
			}
			s.Queue(kinds[i%len(kinds)].put(b, random))
			i++
		}
		n, _ := s.Kick()
		if before := sent.Add(uint64(n)) - uint64(n); before/part != sent.Load()/part {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// veth is how many frames an end of a link dropped, in either direction.
func veth(t *testing.T, e *lab.End) (n uint64) {
	t.Helper()
	err := e.Host.Do(func() error {
		link, err := netlink.LinkByName(e.Name)
		if err == nil {
			n = link.Attrs().Statistics.TxDropped + link.Attrs().Statistics.RxDropped
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

const (
	xdpDrop = 1
	xdpPass = 2
	xdpTx   = 3
)

// loadReflector loads a reflector without attaching it.
func loadReflector(t *testing.T, o ReflectorOptions) *Reflector {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root to load BPF programs, and must not be skipped where CI=true")
		}
		t.Skip("needs root to load BPF programs: run it with sudo")
	}
	r := &Reflector{}
	if err := r.load(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.objs.Close() })
	return r
}

// run gives one frame to the program.
func (r *Reflector) run(t *testing.T, frame []byte) (verdict uint32, out []byte) {
	t.Helper()
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, 4096)}
	verdict, err := r.objs.Reflect.Run(&o)
	if err != nil {
		t.Fatal(err)
	}
	return verdict, o.DataOut
}

func TestReflectorAnswers(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{
		Prefixes:    []string{"198.51.100.0/24", "2001:db8:1::/64"},
		ClosedPorts: []uint16{9},
	})
	const src4, dst4, src6, dst6 = "192.0.2.1", "198.51.100.7", "2001:db8::1", "2001:db8:1::7"
	for _, addrs := range [][2]string{{src4, dst4}, {src6, dst6}} {
		src, dst := addrs[0], addrs[1]
		for _, n := range []int{0, 1, 8, 9, 64, 501, 1400} {
			payload := pattern(n)

			// Echo: everything but the type comes back.
			req := buildEcho(src, dst, 0x1234, 7, payload)
			verdict, out := r.run(t, req)
			got := parseFrame(t, out)
			want := parseFrame(t, req)
			want.swap()
			want.l4[0] = map[bool]byte{false: 0, true: 129}[want.v6]
			want.l4[2], want.l4[3] = got.l4[2], got.l4[3] // checked by parseFrame
			if verdict != xdpTx || !got.sameAs(want) {
				t.Errorf("echo to %s, payload %d: verdict %d\n got %+v\nwant %+v", dst, n, verdict, got, want)
			}

			// A SYN, with options and payload.
			verdict, out = r.run(t, buildTCP(src, dst, 65000, 80, 0xfffffff0, tcpSYN, []byte{2, 4, 5, 180}, payload))
			tcp := parseFrame(t, out).tcp(t)
			tcp.seq = 0 // by chance
			if diff := cmp.Diff(tcpFields{80, 65000, 0, 0xfffffff1, tcpSYN | tcpACK, 0}, tcp, cmp.AllowUnexported(tcpFields{})); verdict != xdpTx || diff != "" {
				t.Errorf("SYN to %s, payload %d: verdict %d\n%s", dst, n, verdict, diff)
			}
			verdict, out = r.run(t, buildTCP(src, dst, 65000, 9, 100, tcpSYN, nil, payload))
			tcp = parseFrame(t, out).tcp(t)
			if diff := cmp.Diff(tcpFields{9, 65000, 0, 101 + uint32(n), tcpRST | tcpACK, 0}, tcp, cmp.AllowUnexported(tcpFields{})); verdict != xdpTx || diff != "" {
				t.Errorf("SYN to closed port of %s, payload %d: verdict %d\n%s", dst, n, verdict, diff)
			}

			// UDP: the error quotes the packet as it came.
			udp := buildUDP(src, dst, 65001, 53, payload)
			verdict, out = r.run(t, udp)
			got = parseFrame(t, out)
			quote, typ, code := udp[14:], byte(3), byte(3)
			limit := 576 - 28
			if got.v6 {
				typ, code, limit = 1, 4, 1280-48
			}
			quote = quote[:min(len(quote), limit)]
			if verdict != xdpTx || got.src != dst || got.dst != src || got.l4[0] != typ || got.l4[1] != code {
				t.Errorf("UDP to %s, payload %d: verdict %d, %+v", dst, n, verdict, got)
			}
			if diff := cmp.Diff(quote, got.l4[8:]); diff != "" {
				t.Errorf("UDP to %s, payload %d: quote\n%s", dst, n, diff)
			}
		}
	}
	want := ReflectorCounts{Received: 56, Echo: 14, SynAck: 14, RstAck: 14, Unreachable: 14}
	if got, err := r.Counts(); err != nil || got != want {
		t.Errorf("counts %+v, %v; want %+v", got, err, want)
	}
}

func TestReflectorTrailingPadding(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{Prefixes: []string{"198.51.100.0/24"}})
	// A NIC pads short frames to 60 bytes; the padding is no part of the packet.
	udp := buildUDP("192.0.2.1", "198.51.100.1", 1, 2, nil)
	verdict, out := r.run(t, append(udp[:len(udp):len(udp)], make([]byte, 18)...))
	if got := parseFrame(t, out); verdict != xdpTx || !cmp.Equal(got.l4[8:], udp[14:]) {
		t.Errorf("verdict %d, %+v", verdict, got)
	}
}

func TestReflectorQuote(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{Prefixes: []string{"0.0.0.0/0", "::/0"}, Quote: 8})
	for _, addrs := range [][2]string{{"192.0.2.1", "198.51.100.1"}, {"2001:db8::1", "2001:db8:1::1"}} {
		udp := buildUDP(addrs[0], addrs[1], 1, 2, pattern(30))
		_, out := r.run(t, udp)
		if got := parseFrame(t, out); !cmp.Equal(got.l4[8:], udp[14:len(udp)-30]) {
			t.Errorf("quote %x of %x", got.l4[8:], udp[14:])
		}
	}
}

func TestReflectorLeavesAlone(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{Prefixes: []string{"198.51.100.0/25", "2001:db8:1::/64"}})
	fragment := buildUDP("192.0.2.1", "198.51.100.1", 1, 2, nil)
	fragment[20] |= 0x20 // more fragments
	truncated := buildUDP("192.0.2.1", "198.51.100.1", 1, 2, pattern(50))
	solicit := buildEcho("2001:db8::1", "2001:db8:1::1", 1, 1, pattern(16))
	solicit[14+40] = 135
	arp := make([]byte, 60)
	binary.BigEndian.PutUint16(arp[12:], 0x0806)
	for _, tt := range []struct {
		name  string
		frame []byte
		want  uint32
	}{
		{"another prefix", buildEcho("192.0.2.1", "198.51.100.128", 1, 1, nil), xdpPass},
		{"another IPv6 prefix", buildEcho("2001:db8::1", "2001:db8:2::1", 1, 1, nil), xdpPass},
		{"ARP", arp, xdpPass},
		{"neighbour solicitation", solicit, xdpPass},
		{"RST", buildTCP("192.0.2.1", "198.51.100.1", 1, 2, 3, tcpRST, nil, nil), xdpDrop},
		{"ACK", buildTCP("192.0.2.1", "198.51.100.1", 1, 2, 3, tcpACK, nil, nil), xdpDrop},
		{"SYN+ACK", buildTCP("192.0.2.1", "198.51.100.1", 1, 2, 3, tcpSYN|tcpACK, nil, nil), xdpDrop},
		{"fragment", fragment, xdpDrop},
		{"truncated", truncated[:60], xdpDrop},
	} {
		verdict, out := r.run(t, tt.frame)
		if verdict != tt.want || !cmp.Equal(out, tt.frame) {
			t.Errorf("%s: verdict %d, want %d; frame\n%s", tt.name, verdict, tt.want, cmp.Diff(tt.frame, out))
		}
	}
	want := ReflectorCounts{Received: 5, Resets: 1, Ignored: 4}
	if got, err := r.Counts(); err != nil || got != want {
		t.Errorf("counts %+v, %v; want %+v", got, err, want)
	}
}

func TestReflectorDrops(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{Prefixes: []string{"0.0.0.0/0"}, DropEvery: 4})
	frame := buildEcho("192.0.2.1", "198.51.100.1", 1, 1, nil)
	var dropped, answered uint64
	for range 400 {
		switch verdict, _ := r.run(t, frame); verdict {
		case xdpDrop:
			dropped++
		case xdpTx:
			answered++
		}
	}
	want := ReflectorCounts{Received: 400, Echo: answered, Dropped: dropped}
	if got, err := r.Counts(); err != nil || got != want || dropped == 0 || answered == 0 {
		t.Errorf("counts %+v, %v; want %+v", got, err, want)
	}
}

func TestReflectorHolds(t *testing.T) {
	r := loadReflector(t, ReflectorOptions{Prefixes: []string{"0.0.0.0/0"}})
	frame := buildEcho("192.0.2.1", "198.51.100.1", 1, 1, nil)
	const hold = 3 * time.Millisecond
	if err := r.SetHold(hold); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	r.run(t, frame)
	// Only a lower bound holds on a machine that does other things as well.
	if took := time.Since(start); took < hold {
		t.Errorf("took %v, held for %v", took, hold)
	}
	for _, bad := range []time.Duration{-1, MaxHold + 1} {
		if err := r.SetHold(bad); err == nil {
			t.Errorf("a hold of %v passed", bad)
		}
	}
}

// The Linux stack takes the answers for those of a host.
func TestReflectorFoolsLinux(t *testing.T) {
	l := ForTest(t, "lab")
	a, b := pair(l)
	AttachPass(a)
	r := AttachReflector(b, ReflectorOptions{
		Prefixes:    []string{"198.51.100.0/24", "2001:db8:1::/64"},
		ClosedPorts: []uint16{9},
	})
	a.Host.SetRoute("198.51.100.0/24", Hop{Via: "192.0.2.2"})
	a.Host.SetRoute("2001:db8:1::/64", Hop{Via: "2001:db8::2"})

	for _, addr := range []string{"198.51.100.77", "2001:db8:1::77"} {
		ping(t, a.Host, addr, "50")
		dial := func(port string) error {
			return a.Host.Do(func() error {
				d := net.Dialer{Timeout: 5 * time.Second}
				c, err := d.Dial("tcp", net.JoinHostPort(addr, port))
				if err != nil {
					return err
				}
				// A reset, since nobody would answer a FIN.
				if err := c.(*net.TCPConn).SetLinger(0); err != nil {
					return err
				}
				return c.Close()
			})
		}
		if err := dial("80"); err != nil {
			t.Errorf("open port: %v", err)
		}
		if err := dial("9"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("closed port: %v", err)
		}
		err := a.Host.Do(func() error { return askUDP(net.JoinHostPort(addr, "53")) })
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("UDP: %v", err)
		}
	}
	// Per address: 50 echoes, SYN, ACK and RST of the open port, SYN of the
	// closed one, a datagram.
	want := ReflectorCounts{Received: 110, Echo: 100, SynAck: 2, RstAck: 2, Unreachable: 2, Resets: 2, Ignored: 2}
	if got, err := r.Counts(); err != nil || got != want {
		t.Errorf("counts %+v, %v; want %+v", got, err, want)
	}
	ping(t, a.Host, "192.0.2.2", "3") // the host behind it still answers
}

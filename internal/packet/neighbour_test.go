// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	macA = [6]byte{0x02, 0, 0, 0, 0, 0x0a}
	macB = [6]byte{0x02, 0, 0, 0, 0, 0x0b}
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildARPRequest(t *testing.T) {
	src, target := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.254")
	for _, c := range []struct {
		name string
		dst  [6]byte
		want string
	}{
		{"broadcast", [6]byte{}, `ffffffffffff 02000000000a 0806 0001 0800 06 04 0001
			02000000000a c0000201 000000000000 c00002fe`},
		{"unicast", macB, `02000000000b 02000000000a 0806 0001 0800 06 04 0001
			02000000000a c0000201 000000000000 c00002fe`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := make([]byte, 128)
			for i := range b {
				b[i] = 0xee
			}
			n := BuildARPRequest(b, macA, src, c.dst, target)
			if d := cmp.Diff(unhex(t, c.want), b[:n]); d != "" {
				t.Errorf("frame (-want +got):\n%s", d)
			}
		})
	}
}

func TestBuildNeighbourSolicit(t *testing.T) {
	src, target := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8::a:b:c")
	for _, c := range []struct {
		name   string
		dst    [6]byte
		prefix string
	}{
		{"multicast", [6]byte{}, `3333ff0b000c 02000000000a 86dd 60000000 0020 3a ff
			fe800000000000000000000000000001 ff0200000000000000000001ff0b000c 8700`},
		{"unicast", macB, `02000000000b 02000000000a 86dd 60000000 0020 3a ff
			fe800000000000000000000000000001 20010db800000000000a000b000c0000 8700`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := make([]byte, 128)
			for i := range b {
				b[i] = 0xee
			}
			tgt := target
			if c.dst != ([6]byte{}) {
				tgt = netip.MustParseAddr("2001:db8:0:0:a:b:c:0")
			}
			n := BuildNeighbourSolicit(b, macA, src, c.dst, tgt)
			want := unhex(t, c.prefix)
			if d := cmp.Diff(want, b[:len(want)]); d != "" {
				t.Errorf("frame (-want +got):\n%s", d)
			}
			if got := fold(sum(b[54:n], sum(b[22:54], 58+32))); got != 0xffff {
				t.Errorf("checksum over the message is %#x", got)
			}
			if d := cmp.Diff(unhex(t, "0101 02000000000a"), b[n-8:n]); d != "" {
				t.Errorf("source link-layer address option (-want +got):\n%s", d)
			}
		})
	}
}

// advertisement returns a frame from addr with the given flags and options,
// its checksum complete.
func advertisement(addr netip.Addr, flags byte, options ...byte) []byte {
	a := addr.As16()
	b := make([]byte, 54, 128)
	putEthernet(b, macB, macA, etherIPv6)
	b[14], b[20], b[21] = 0x60, 58, 255
	copy(b[22:], a[:])
	copy(b[38:], netip.MustParseAddr("fe80::1").AsSlice())
	b = append(b, 136, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, a[:]...)
	b = append(b, options...)
	return finish(b)
}

// finish sets payload length and ICMPv6 checksum of a frame without extension
// headers.
func finish(b []byte) []byte {
	plen := len(b) - 54
	be.PutUint16(b[18:], uint16(plen))
	be.PutUint16(b[56:], 0)
	be.PutUint16(b[56:], ^fold(sum(b[54:], sum(b[22:54], uint64(58+plen)))))
	return b
}

func TestParseNeighbour(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("fe80::b")
	arp := func(op, sha, spa, tpa string) []byte {
		return unhex(t, `02000000000a 02000000000b 0806 0001 0800 06 04`+op+sha+spa+`02000000000a`+tpa)
	}
	const shaB = "02000000000b"
	tlla := append([]byte{2, 1}, macB[:]...)
	edit := func(b []byte, f func(b []byte)) []byte { f(b); return b }
	for _, c := range []struct {
		name  string
		frame []byte
		want  Neighbour
		ok    bool
	}{
		{"arp reply", arp("0002", shaB, "c00002fe", "c0000201"), Neighbour{v4, macB, true, true}, true},
		{"gratuitous request", arp("0001", shaB, "c00002fe", "c00002fe"), Neighbour{v4, macB, false, true}, true},
		{"gratuitous reply", arp("0002", shaB, "c00002fe", "c00002fe"), Neighbour{v4, macB, false, true}, true},
		{"arp reply, padded", append(arp("0002", shaB, "c00002fe", "c0000201"), make([]byte, 18)...), Neighbour{v4, macB, true, true}, true},
		{"arp request", arp("0001", shaB, "c00002fe", "c0000201"), Neighbour{}, false},
		{"rarp", arp("0003", shaB, "c00002fe", "c0000201"), Neighbour{}, false},
		{"arp reply, short", arp("0002", shaB, "c00002fe", "c0000201")[:41], Neighbour{}, false},
		{"arp reply, group MAC", arp("0002", "01005e000001", "c00002fe", "c0000201"), Neighbour{}, false},
		{"arp reply, zero MAC", arp("0002", "000000000000", "c00002fe", "c0000201"), Neighbour{}, false},
		{"arp reply, zero address", arp("0002", shaB, "00000000", "c0000201"), Neighbour{}, false},
		{"advertisement", advertisement(v6, 0x60, tlla...), Neighbour{v6, macB, true, true}, true},
		{"advertisement, router", advertisement(v6, 0xe0, tlla...), Neighbour{v6, macB, true, true}, true},
		{"advertisement without override", advertisement(v6, 0x40, tlla...), Neighbour{v6, macB, true, false}, true},
		{"advertisement without MAC", advertisement(v6, 0x40), Neighbour{v6, [6]byte{}, true, false}, true},
		{"announcement", advertisement(v6, 0x20, tlla...), Neighbour{v6, macB, false, true}, true},
		{"another option first", advertisement(v6, 0x60, append([]byte{14, 1, 0, 0, 0, 0, 0, 0}, tlla...)...), Neighbour{v6, macB, true, true}, true},
		{"hop limit 254", edit(advertisement(v6, 0x60, tlla...), func(b []byte) { b[21] = 254 }), Neighbour{}, false},
		{"bad checksum", edit(advertisement(v6, 0x60, tlla...), func(b []byte) { b[85]++ }), Neighbour{}, false},
		{"code 1", finish(edit(advertisement(v6, 0x60, tlla...), func(b []byte) { b[55] = 1 })), Neighbour{}, false},
		{"solicited to a group", finish(edit(advertisement(v6, 0x60, tlla...), func(b []byte) { b[38] = 0xff })), Neighbour{}, false},
		{"option of length 0", advertisement(v6, 0x60, 2, 0, 0, 0, 0, 0, 0, 0), Neighbour{}, false},
		{"option beyond the end", advertisement(v6, 0x60, 2, 2, 0, 0, 0, 0, 0, 0), Neighbour{}, false},
		{"group MAC in the option", advertisement(v6, 0x60, 2, 1, 1, 0, 0, 0, 0, 0), Neighbour{}, false},
		{"multicast target", advertisement(netip.MustParseAddr("ff02::1"), 0x20, tlla...), Neighbour{}, false},
		{"payload length beyond the frame", edit(advertisement(v6, 0x60, tlla...), func(b []byte) { b[19] = 200 }), Neighbour{}, false},
		{"our own question", func() []byte {
			b := make([]byte, 128)
			return b[:BuildNeighbourSolicit(b, macA, v6, macB, v6)]
		}(), Neighbour{}, false},
		{"empty", nil, Neighbour{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseNeighbour(c.frame)
			if ok != c.ok {
				t.Fatalf("ok = %v, want %v", ok, c.ok)
			}
			if ok && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParseNeighbour(f *testing.F) {
	f.Add(advertisement(netip.MustParseAddr("fe80::b"), 0x60, append([]byte{2, 1}, macB[:]...)...))
	f.Add(unhex(f, `02000000000a 02000000000b 0806 0001 0800 06 04 0002 02000000000b c00002fe 02000000000a c0000201`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseNeighbour(b)
		if ok && (!n.Addr.IsValid() || n.MAC[0]&1 != 0) {
			t.Errorf("accepted %+v", n)
		}
	})
}

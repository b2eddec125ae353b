// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestPartition: a cell is a range that no prefix separates, and no smaller.
func TestPartition(t *testing.T) {
	for _, first := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(1, seed))
			c := cuts{first: first}
			var all, singles []netip.Prefix
			for range r.IntN(12) {
				p := netip.PrefixFrom(randomAddr(r, first), r.IntN(first.BitLen()+1)).Masked()
				if all = append(all, p); r.IntN(4) == 0 {
					c.addSingle(p)
					singles = append(singles, p)
				} else {
					c.add(p)
				}
			}
			c.add(netip.MustParsePrefix("192.0.2.0/24"))
			c.add(netip.MustParsePrefix("2001:db8::/32"))
			all = append(all, netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"))
			p := c.partition()
			points := []netip.Addr{first, lastOf(netip.PrefixFrom(first, 0))}
			for _, q := range all {
				if q.Addr().Is4() == first.Is4() {
					points = append(points, q.Addr(), lastOf(q))
				}
			}
			for range 20 {
				points = append(points, randomAddr(r, first))
			}
			for _, a := range points {
				in := func(ps []netip.Prefix) bool {
					return slices.ContainsFunc(ps, func(q netip.Prefix) bool { return q.Contains(a) })
				}
				if got := p.single[p.cell(a)]; got != in(singles) {
					t.Fatalf("seed %d: %s stands for itself: %v; prefixes %v", seed, a, got, singles)
				}
				for _, b := range points {
					separated := slices.ContainsFunc(all, func(q netip.Prefix) bool { return q.Contains(a) != q.Contains(b) })
					if separated && p.cell(a) == p.cell(b) {
						t.Fatalf("seed %d: %s and %s in one cell; prefixes %v", seed, a, b, all)
					}
				}
			}
			for i := range p.starts[1:] {
				a, b := p.starts[i+1].Prev(), p.starts[i+1]
				if !slices.ContainsFunc(all, func(q netip.Prefix) bool { return q.Contains(a) != q.Contains(b) }) {
					t.Fatalf("seed %d: %s and %s separated by none of %v", seed, a, b, all)
				}
			}
		}
	}
}

func TestPartitionMatches(t *testing.T) {
	c := cuts{first: netip.IPv6Unspecified()}
	c.addMatches(netip.MustParsePrefix("2001:db8:0:1::9/64"))
	p := c.partition()
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:0:1::9", "2001:db8:0:1:ffff::", true},
		{"2001:db8:0:1::9", "2001:db8:0:0::9", false},
		{"2001:db8:0:2::", "2001:db8:0:3:ffff::", true}, // 62 bits each
		{"2001:db8:0:2::", "2001:db8:0:4::", false},
		{"2001:db8:1::", "2001:db8:1:ffff::", true},
		{"8000::", "ffff::", true},
		{"7fff::", "8000::", false},
	} {
		if got := p.cell(ip(test.a)) == p.cell(ip(test.b)); got != test.same {
			t.Errorf("%s and %s in one cell: %v", test.a, test.b, got)
		}
	}
}

func TestLastOf(t *testing.T) {
	for p, want := range map[string]string{
		"0.0.0.0/0": "255.255.255.255", "10.0.0.0/9": "10.127.255.255", "192.0.2.1/32": "192.0.2.1",
		"::/0": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/33": "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff",
	} {
		if got := lastOf(netip.MustParsePrefix(p)); got != ip(want) {
			t.Errorf("%s ends with %s, want %s", p, got, want)
		}
	}
}

func randomAddr(r *rand.Rand, first netip.Addr) netip.Addr {
	b := make([]byte, first.BitLen()/8)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func FuzzParseFIBEntry(f *testing.F) {
	v4 := []byte{2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0, 8, 0, 15, 0, 100, 1, 0, 0, 8, 0, 1, 0, 203, 0, 113, 0, 4, 0, 9, 0}
	f.Add(v4)
	f.Add(v4[:29])
	f.Add([]byte{10, 129, 0, 0, 254, 4, 0, 1, 0, 2, 0, 0})
	f.Fuzz(func(t *testing.T, m []byte) {
		for _, family := range []uint8{2, 10} {
			e, ok := parseFIBEntry(m, family)
			if ok && (!e.dst.IsValid() || e.dst.Addr().Is4() != (family == 2)) {
				t.Errorf("%v of family %d", e.dst, family)
			}
		}
		if p, ok := parseAddrLabel(m); ok && !p.IsValid() {
			t.Error(p)
		}
	})
}

func TestParseFIBEntry(t *testing.T) {
	attr := func(kind byte, value ...byte) []byte {
		return append([]byte{byte(4 + len(value)), 0, kind, 0}, value...)
	}
	join := func(flags byte, attrs ...[]byte) []byte {
		m := []byte{2, 24, 0, 0, 254, 4, 0, 1, 0, flags, 0, 0}
		for _, a := range attrs {
			m = append(m, a...)
		}
		return m
	}
	dst, oif := attr(1, 203, 0, 113, 0), attr(4, 2, 0, 0, 0)
	plain := fibEntry{fibKey: fibKey{table: 254, dst: netip.MustParsePrefix("203.0.113.0/24"), src: netip.MustParsePrefix("0.0.0.0/0")}}
	for _, test := range []struct {
		name   string
		m      []byte
		change func(*fibEntry)
	}{
		{"route", join(0, dst, oif), func(*fibEntry) {}},
		{"table and metric", join(0, attr(15, 44, 1, 0, 0), dst, attr(6, 7, 0, 0, 0)), func(e *fibEntry) { e.table, e.metric = 300, 7 }},
		{"exception", join(2, dst, oif), func(e *fibEntry) { e.exception = true }},
		{"multipath", join(0, dst, attr(9)), func(e *fibEntry) { e.several = true }},
		{"next hop object", join(0, dst, attr(30, 1, 0, 0, 0), oif), func(*fibEntry) {}},
		{"group of next hops without compatibility", join(0, dst, attr(30, 1, 0, 0, 0)), func(e *fibEntry) { e.several = true }},
	} {
		want := plain
		test.change(&want)
		if got, ok := parseFIBEntry(test.m, 2); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, ok, want)
		}
	}
	if _, ok := parseFIBEntry(join(0, dst), 10); ok {
		t.Error("an IPv4 route as IPv6")
	}
}

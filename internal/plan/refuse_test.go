// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

func TestCheckAddr(t *testing.T) {
	tests := []struct {
		addr string
		ok   bool
	}{
		{"0.0.0.0", false}, {"0.255.255.255", false}, {"1.0.0.0", true},
		{"126.255.255.255", true}, {"127.0.0.0", false}, {"127.255.255.255", false}, {"128.0.0.0", true},
		{"169.253.255.255", true}, {"169.254.0.0", false}, {"169.254.255.255", false}, {"169.255.0.0", true},
		{"223.255.255.255", true}, {"224.0.0.0", false}, {"239.1.1.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"10.0.0.1", true}, {"172.16.0.1", true}, {"192.168.0.255", true}, {"100.64.0.1", true}, {"198.18.0.1", true},
		{"192.0.2.1", true}, {"198.51.100.1", true}, {"203.0.113.1", true},
		{"::", false}, {"::1", false}, {"::2", true}, {"::fffe:ffff:ffff", true}, {"::ffff:192.0.2.1", false}, {"::1:0:0:0", true},
		{"fe7f::1", true}, {"fe80::1", false}, {"febf::1", false}, {"fec0::1", true}, {"feff::1", true}, {"ff00::", false}, {"ff02::1", false},
		{"fd00::1", true}, {"2001:db8::1", true}, {"2001:2::1", true}, {"2001:db8::1%eth0", false},
	}
	for _, tt := range tests {
		if err := CheckAddr(config.Safety{}, netip.MustParseAddr(tt.addr)); (err == nil) != tt.ok {
			t.Errorf("CheckAddr(%s) = %v, want ok %t", tt.addr, err, tt.ok)
		}
	}
	if CheckAddr(config.Safety{}, netip.Addr{}) == nil {
		t.Error("the zero Addr passes")
	}
}

func TestAllowRanges(t *testing.T) {
	tests := []struct {
		allow, prefix string
		ok            bool
	}{
		{"127.0.0.0/8", "127.0.0.1/32", true},
		{"127.0.0.1/32", "127.0.0.1/32", true},
		{"127.0.0.1/32", "127.0.0.2/32", false},
		{"127.0.0.0/8", "169.254.0.1/32", false},
		{"127.0.0.0/9", "127.0.0.0/8", false},
		{"127.0.0.0/8", "126.0.0.0/7", true}, // what it shares with 127/8 is allowed
		{"127.0.0.0/16", "126.0.0.0/7", false},
		{"fe80::/10", "fe80::/112", true},
		{"fe80::/64", "fe80::/63", false},
		{"::ffff:0:0/96", "::ffff:192.0.2.1/128", true},
		{"0.0.0.0/0", "::1/128", false},
		{"::/0", "::1/128", true},
		{"192.0.2.0/24", "192.0.0.0/16", true}, // nothing in it is refused
		{"192.0.2.0/24", "0.0.0.0/0", false},
	}
	for _, tt := range tests {
		safety := config.Safety{AllowRanges: []netip.Prefix{netip.MustParsePrefix(tt.allow)}}
		if err := checkPrefix(safety, netip.MustParsePrefix(tt.prefix)); (err == nil) != tt.ok {
			t.Errorf("%s with %s allowed: %v, want ok %t", tt.prefix, tt.allow, err, tt.ok)
		}
	}
}

// A prefix is refused when and only when one of its addresses is.
func FuzzCheckPrefix(f *testing.F) {
	f.Add([]byte{126, 255, 255, 250}, uint8(24), []byte{127, 0, 0, 0}, uint8(8))
	f.Add([]byte{223, 255, 255, 255}, uint8(31), []byte{224, 0, 0, 0}, uint8(4))
	f.Add([]byte{15: 1}, uint8(120), []byte{15: 0}, uint8(128))
	f.Add([]byte{0xfe, 0x80, 15: 1}, uint8(121), []byte{0xfe, 0x80, 15: 0}, uint8(128))
	f.Fuzz(func(t *testing.T, addr []byte, bits uint8, allow []byte, allowBits uint8) {
		a, ok := netip.AddrFromSlice(addr)
		b, ok2 := netip.AddrFromSlice(allow)
		if !ok || !ok2 {
			return
		}
		bits = uint8(a.BitLen()) - bits%9 // at most 256 addresses
		p, err := a.Prefix(int(bits))
		if err != nil {
			t.Fatal(err)
		}
		ap, err := b.Prefix(int(allowBits) % (b.BitLen() + 1))
		if err != nil {
			t.Fatal(err)
		}
		safety := config.Safety{AllowRanges: []netip.Prefix{ap}}
		var refusal error
		for addr := p.Addr(); p.Contains(addr); addr = addr.Next() {
			if err := CheckAddr(safety, addr); err != nil {
				refusal = err
				break
			}
		}
		if got := checkPrefix(safety, p); (got == nil) != (refusal == nil) {
			t.Errorf("prefix %s with %s allowed: %v, its addresses: %v", p, ap, got, refusal)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// refused are the ranges that no probe is sent to, or from, unless
// safety.allow_ranges says so by name. Everything else is ordinary: private,
// shared (RFC 6598), unique local, documentation and benchmark ranges too.
var refused = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network, RFC 791"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback, RFC 1122"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, RFC 3927"},
	{netip.MustParsePrefix("224.0.0.0/3"), "multicast, reserved and broadcast, RFC 1112 and RFC 919"},
	{netip.MustParsePrefix("::/128"), "unspecified, RFC 4291"},
	{netip.MustParsePrefix("::1/128"), "loopback, RFC 4291"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4-mapped, RFC 4291"},
	{netip.MustParsePrefix("fe80::/10"), "link-local, RFC 4291"},
	{netip.MustParsePrefix("ff00::/8"), "multicast, RFC 4291"},
}

// CheckAddr says whether addr may be probed: nil, or an error that names the
// range it is refused for. Build asks for every address; whoever gets a new
// address for a name asks again. An address with a zone is refused: which
// interface a probe leaves by is not the target's to say.
func CheckAddr(safety config.Safety, addr netip.Addr) error {
	if !addr.IsValid() {
		return fmt.Errorf("no address")
	}
	if addr.Zone() != "" {
		return fmt.Errorf("%s has a zone; write the address without it", addr)
	}
	return checkPrefix(safety, netip.PrefixFrom(addr, addr.BitLen()))
}

// checkPrefix is CheckAddr for all addresses of a masked prefix at once. What
// it shares with a refused range must lie within a single allowed one.
func checkPrefix(safety config.Safety, p netip.Prefix) error {
	for _, r := range refused {
		if !r.prefix.Overlaps(p) {
			continue
		}
		shared := p // prefixes nest: the longer one is what they share
		if r.prefix.Bits() > p.Bits() {
			shared = r.prefix
		}
		if allowed(safety, shared) {
			continue
		}
		verb, subject := "is in", p.Addr().String()
		if !p.IsSingleIP() {
			verb, subject = "overlaps", p.String()
		}
		return fmt.Errorf("%s %s %s (%s), which is refused unless safety.allow_ranges covers it", subject, verb, r.prefix, r.what)
	}
	return nil
}

func allowed(safety config.Safety, p netip.Prefix) bool {
	for _, a := range safety.AllowRanges {
		if a.Bits() <= p.Bits() && a.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

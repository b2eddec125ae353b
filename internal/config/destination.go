// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// MaxSubnetSize is the largest number of addresses that one target may have.
const MaxSubnetSize = 65536

const (
	destinationAllowed = "an IP address, a host name, a range such as 192.168.*.1-5, or with is_subnet: true a prefix"
	subnetAllowed      = "a prefix without host bits such as 192.0.2.0/24 or 2001:db8::/120, or a range such as 192.168.*.1-5"
	rangeAllowed       = "allowed: four numbers from 0 to 255, of which some are ranges such as 1-5, or * for all, as in 192.168.*.1-5"
)

// rangeForm matches what is meant as a range such as 192.168.*.1-5.
var rangeForm = regexp.MustCompile(`^[0-9.*-]*[*-][0-9.*/-]*$`)

// checkDestination checks a destination, and settles the address family. family
// is the zero value when the target does not name one.
func checkDestination(t *targetDraft, dst, family value) {
	s := t.Destination
	var found string
	switch addr, err := netip.ParseAddr(s); {
	case rangeForm.MatchString(s):
		r, ok := checkRange(dst, s)
		if !ok {
			return
		}
		t.Destination, t.IsSubnet, found = r.String(), true, "ipv4"
	case t.IsSubnet:
		p, ok := checkSubnet(dst, s)
		if !ok {
			return
		}
		t.Destination, found = p.String(), familyOf(p.Addr())
	case err == nil:
		found = familyOf(addr)
	case strings.Contains(s, "/"):
		dst.wrong("an IP address or a host name; for a prefix, set is_subnet: true as well")
		return
	case !validHostName(s):
		dst.wrong("an IP address, or a host name of letters, digits, - _ and . (others in their xn-- form)")
		return
	default: // a name has the family that was asked for
		found = t.Family
		if found == "" {
			found = "ipv4"
		}
	}
	if family.node != nil && t.Family != "" && t.Family != found {
		family.fault("read "+t.Family+", but the destination "+shorten(s, maxShown)+" is "+found,
			"allowed: "+found+", or no address_family at all")
		return
	}
	if family.node == nil {
		t.Family = found
	}
}

// checkSubnet parses the destination of a target with is_subnet. A lone address
// is a subnet of one.
func checkSubnet(dst value, s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil && s == "":
		dst.fault(`read "", an empty subnet`, "allowed: "+subnetAllowed)
		return p, false
	case err != nil:
		dst.wrong(subnetAllowed + ", since is_subnet is true")
		return p, false
	case p != p.Masked():
		dst.wrong("a prefix without host bits; write " + p.Masked().String())
		return p, false
	}
	if bits := p.Addr().BitLen() - p.Bits(); bits > 16 {
		dst.fault(fmt.Sprintf("read %s, a subnet of 2^%d addresses", p, bits),
			fmt.Sprintf("allowed: at most %d addresses, a /%d; split it or probe a part of it", MaxSubnetSize, p.Addr().BitLen()-16))
		return p, false
	}
	return p, true
}

// checkRange parses a destination with * or - in the place of numbers.
func checkRange(dst value, s string) (Range, bool) {
	r, err := ParseRange(s)
	if err != nil {
		dst.fault("read the range "+dst.show()+": "+err.Error(), rangeAllowed)
		return r, false
	}
	if n := r.Size(); n > MaxSubnetSize {
		dst.fault(fmt.Sprintf("read %s, a range of %d addresses", r, n),
			fmt.Sprintf("allowed: at most %d addresses; split it or probe a part of it", MaxSubnetSize))
		return r, false
	}
	return r, true
}

// validHostName says whether DNS could know the name (RFC 1123 section 2.1,
// with the underscore that is seen in practice). A name whose last label is a
// number is meant as an address.
func validHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			c := l[i] | 0x20 // lower case; digits, - and . keep what they are
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || l[i] == '-' || l[i] == '_') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

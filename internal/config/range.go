// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Range is the IPv4 addresses of a destination such as 192.168.*.1-5: each of
// the four numbers goes from one to another, and all combinations are meant.
type Range struct{ from, to [4]byte }

// ParseRange reads a range in netprobify's form: four parts, each a number, two
// numbers with a - between them, or * for 0 to 255. One without - and * is an
// address, and no range.
func ParseRange(s string) (Range, error) {
	var r Range
	parts := strings.Split(s, ".")
	if len(parts) != len(r.from) {
		return r, fmt.Errorf("not four numbers")
	}
	if !strings.ContainsAny(s, "*-") {
		return r, fmt.Errorf("no * and no - in it")
	}
	for i, part := range parts {
		if part == "*" {
			part = "0-255"
		}
		low, high, both := strings.Cut(part, "-")
		if !both {
			high = low
		}
		var err error
		if r.from[i], err = octet(low); err != nil {
			return r, err
		}
		if r.to[i], err = octet(high); err != nil {
			return r, err
		}
		if r.from[i] > r.to[i] {
			return r, fmt.Errorf("%s ends before it begins", part)
		}
	}
	return r, nil
}

// octet reads a part of an address. 010 is none: to some it is 8.
func octet(s string) (byte, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a number from 0 to 255", s)
	}
	return byte(n), nil
}

// Size returns how many addresses there are.
func (r Range) Size() int {
	n := 1
	for i := range r.from {
		n *= r.each(i)
	}
	return n
}

// each is how many values a part has.
func (r Range) each(part int) int { return int(r.to[part]) - int(r.from[part]) + 1 }

// At returns address n in ascending order, 0 <= n < Size().
func (r Range) At(n int) netip.Addr {
	var a [4]byte
	for i := len(a) - 1; i >= 0; i-- {
		a[i] = r.from[i] + byte(n%r.each(i))
		n /= r.each(i)
	}
	return netip.AddrFrom4(a)
}

// Block is how many consecutive addresses of At share the first three parts,
// and so a /24.
func (r Range) Block() int { return r.each(3) }

// String returns the range as it is written, a * for 0-255.
func (r Range) String() string {
	parts := make([]string, len(r.from))
	for i := range parts {
		switch from, to := r.from[i], r.to[i]; {
		case from == to:
			parts[i] = strconv.Itoa(int(from))
		case from == 0 && to == 255:
			parts[i] = "*"
		default:
			parts[i] = fmt.Sprintf("%d-%d", from, to)
		}
	}
	return strings.Join(parts, ".")
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

// Lists say which addresses are probed at all: those of safety.allow_file where
// there is one, and none of safety.block_file. Immutable; nil blocks nothing.
type Lists struct {
	block, allow prefixes
	restricted   bool // there is an allow_file
}

// Blocked says whether no probe may go to an address.
func (l *Lists) Blocked(a netip.Addr) bool {
	return l != nil && (l.block.contain(a) || l.restricted && !l.allow.contain(a))
}

// Equal says whether two lists block the same addresses by the same prefixes.
func (l *Lists) Equal(other *Lists) bool {
	if l == nil || other == nil {
		return l == other
	}
	return l.restricted == other.restricted && slices.Equal(l.block, other.block) && slices.Equal(l.allow, other.allow)
}

// prefixes are in order, and none is within another.
type prefixes []netip.Prefix

func (p prefixes) contain(a netip.Addr) bool {
	i := sort.Search(len(p), func(i int) bool { return a.Less(p[i].Addr()) })
	return i > 0 && p[i-1].Contains(a)
}

// inOrder sorts all and leaves out those that are within another.
func inOrder(all []netip.Prefix) prefixes {
	slices.SortFunc(all, netip.Prefix.Compare) // by address, the shorter first
	kept := all[:0]
	for _, p := range all {
		if n := len(kept); n == 0 || !kept[n-1].Contains(p.Addr()) {
			kept = append(kept, p)
		}
	}
	return slices.Clip(kept)
}

// maxPrefixes bounds the lines of a list that hold a prefix.
const maxPrefixes = 1_000_000

// lists reads the files that safety names.
func (d *decoder) lists(block, allow string) *Lists {
	if block == "" && allow == "" {
		return nil
	}
	l := &Lists{restricted: allow != ""}
	l.block = d.prefixFile("block_file", block)
	l.allow = d.prefixFile("allow_file", allow)
	if l.restricted && len(l.allow) == 0 && len(d.faults) == 0 {
		d.faults = append(d.faults, d.cfg.Fault(oneLine(allow)+" holds no prefix, which would block everything",
			"allowed: at least one; without the key everything is allowed", "safety", "allow_file"))
	}
	return l
}

// prefixFile reads one of them: a prefix or an address on each line, and what
// follows a # is a comment.
func (d *decoder) prefixFile(key, name string) prefixes {
	if name == "" {
		return nil
	}
	unreadable := func(err error) prefixes {
		d.unread++
		d.faults = append(d.faults, d.cfg.Fault("cannot read "+oneLine(name)+": "+err.Error(), "", "safety", key))
		return nil
	}
	f, _, err := openRegular(name)
	if err != nil {
		return unreadable(err)
	}
	defer f.Close()
	all, bad, err := readPrefixes(f, name)
	if err != nil {
		return unreadable(err)
	}
	if len(all) > maxPrefixes {
		bad = append(bad, d.cfg.Fault(oneLine(name)+fmt.Sprintf(" holds more than %d prefixes", maxPrefixes), "allowed: fewer; join those that are next to each other", "safety", key))
	}
	d.faults = append(d.faults, bad...)
	return inOrder(all)
}

// readPrefixes reads until the end, one more than maxPrefixes, or maxBadNamed
// lines that are wrong.
func readPrefixes(r io.Reader, name string) (all []netip.Prefix, bad Faults, err error) {
	s := bufio.NewScanner(r)
	for n := 1; s.Scan() && len(all) <= maxPrefixes && len(bad) < maxBadNamed; n++ {
		text, _, _ := strings.Cut(s.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, ok := parsePrefix(text)
		if !ok {
			bad = append(bad, Fault{File: name, Line: n, Read: fmt.Sprintf("read %q", shorten(text, maxShown)), Allowed: "allowed: " + prefixAllowed})
			continue
		}
		all = append(all, p)
	}
	return all, bad, s.Err()
}

const prefixAllowed = "a prefix without host bits such as 127.0.0.0/8, or an address"

// parsePrefix reads a prefix without host bits, or an address, which is its own
// prefix. IPv4 within IPv6 is not taken: probes go to plain addresses.
func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), !a.Is4In6()
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil && p == p.Masked() && !p.Addr().Is4In6()
}

// SPDX-License-Identifier: Apache-2.0

package packettest

import (
	"fmt"
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// dress is a way in which a frame may come without meaning anything else.
type dress struct {
	name string
	put  func(frame []byte) []byte
	// pass is what the frame is passed for in this dress; 0 where it stays what
	// it is.
	pass packet.Verdict
}

// tags are the dresses of layer 2, for both families: IEEE 802.1Q and 802.1ad
// tags in every order, of which two are looked through.
func tags() []dress {
	d := []dress{{"untagged", slices.Clone[[]byte], 0}}
	both := []uint16{0x8100, 0x88a8}
	for _, a := range both {
		d = append(d, dress{fmt.Sprintf("tag %x", a), func(f []byte) []byte { return Tagged(f, a) }, 0})
		for _, b := range both {
			d = append(d, dress{fmt.Sprintf("tags %x %x", a, b), func(f []byte) []byte { return Tagged(f, a, b) }, 0})
			for _, c := range both {
				d = append(d, dress{fmt.Sprintf("tags %x %x %x", a, b, c), func(f []byte) []byte { return Tagged(f, a, b, c) }, packet.NotIP})
			}
		}
	}
	// Priority tagged: VLAN 0, every other bit of the tag set.
	return append(d, dress{"priority tag", func(f []byte) []byte {
		f = Tagged(f, 0x8100)
		f[14], f[15] = 0xf0, 0
		return f
	}, 0}, dress{"old 802.1ad type 9100", func(f []byte) []byte { return Tagged(f, 0x9100) }, packet.NotIP})
}

// internet are the dresses of layer 3: IPv4 options of every length and every
// kind that routers still write, IPv6 extension headers of every type.
func internet(v4 bool) []dress {
	if v4 {
		return internet4()
	}
	return internet6()
}

func internet4() []dress {
	var d []dress
	add := func(name string, options ...byte) {
		d = append(d, dress{name, func(f []byte) []byte { return Optioned(f, options...) }, 0})
	}
	for n := 4; n <= 40; n += 4 {
		add(fmt.Sprintf("%d bytes of no-operation", n), slices.Repeat([]byte{1}, n)...)
	}
	// RFC 791, 2113 and 6398; lengths and pointers are right, then wrong: they
	// are not looked at.
	add("record route", append([]byte{7, 39, 40}, make([]byte, 37)...)...)
	add("timestamp", append([]byte{68, 12, 13, 1}, make([]byte, 8)...)...)
	add("loose source route", 131, 7, 8, 192, 0, 2, 1, 0)
	add("strict source route", 137, 7, 8, 192, 0, 2, 1, 0)
	add("router alert", 148, 4, 0, 0)
	add("option longer than the header", 7, 200, 4, 0)
	add("option of length 0", 7, 0, 0, 0)
	set := func(name string, pass packet.Verdict, flags, offset byte) {
		d = append(d, dress{name, func(f []byte) []byte {
			f = slices.Clone(f)
			f[20], f[21] = flags, offset
			return f
		}, pass})
	}
	set("whole, may be fragmented", 0, 0, 0)
	set("whole, with the reserved bit", 0, 0x80, 0)
	set("first fragment", 0, 0x20, 0)
	set("middle fragment", packet.Fragment, 0x20, 3)
	set("last fragment", packet.Fragment, 0, 1)
	set("fragment at the far end", packet.Fragment, 0x1f, 0xff)
	return d
}

// The headers of IANA's list "IPv6 Extension Header Types" and what is made of
// each. A host's own traffic may bear those that are not looked through.
func internet6() []dress {
	var d []dress
	add := func(name string, pass packet.Verdict, typ byte, body ...byte) {
		d = append(d, dress{name, func(f []byte) []byte { return Extended(f, typ, body...) }, pass})
	}
	sized := func(units int) []byte { return append([]byte{byte(units)}, make([]byte, 6+8*units)...) }
	type header struct {
		name string
		typ  byte
	}
	looked := []header{{"hop-by-hop options", 0}, {"routing", 43}, {"destination options", 60}}
	for _, h := range looked {
		for _, units := range []int{0, 1, 2, 31, 100, 255} {
			add(fmt.Sprintf("%s of %d bytes", h.name, 8+8*units), 0, h.typ, sized(units)...)
		}
	}
	fragment := func(name string, pass packet.Verdict, hi, lo byte) {
		add(name, pass, 44, 0, hi, lo, 0, 0, 0, 9)
	}
	fragment("atomic fragment", 0, 0, 0)
	fragment("first fragment", 0, 0, 1)
	fragment("fragment with reserved bits", 0, 0, 6)
	fragment("middle fragment", packet.Fragment, 0, 9)
	fragment("last fragment", packet.Fragment, 0xff, 0xf8)
	// What stands where others have their length is reserved in a fragment header.
	add("fragment header with its reserved byte set", 0, 44, 255, 0, 1, 0, 0, 0, 9)
	for _, typ := range []byte{50, 51, 59, 135, 139, 140, 253, 254} {
		// ESP, authentication, none, mobility, HIP, shim6, experiments
		add(fmt.Sprintf("next header %d", typ), packet.NotReply, typ, sized(0)...)
	}
	// Every order of two, and the same one twice: order is not judged (RFC 8200
	// section 4.1 says that a receiver takes any).
	for _, a := range append(looked, header{"fragment", 44}) {
		for _, b := range looked {
			d = append(d, dress{a.name + ", " + b.name, func(f []byte) []byte {
				return Extended(Extended(f, b.typ, sized(0)...), a.typ, sized(0)...)
			}, 0})
		}
	}
	return d
}

// wardrobe is one reply of every kind and family in every dress, and in every
// dress of layer 3 inside one of layer 2.
func (c *corpus) wardrobe() {
	seen := map[string]bool{}
	for _, base := range slices.Clone(c.cases) {
		if !base.Want.Steered() {
			continue
		}
		v4 := base.Flow.Local.Is4()
		kind := fmt.Sprintf("%v %v %v", base.Want, base.Flow.Proto, v4)
		if seen[kind] { // the first of its kind is the plainest
			continue
		}
		seen[kind] = true
		wear := func(name string, frame []byte, pass packet.Verdict) {
			worn := base
			worn.Name, worn.Frame = base.Name+", "+name, frame
			if pass != 0 {
				worn = Case{Name: worn.Name, Frame: frame, Want: pass}
			}
			c.cases = append(c.cases, worn)
		}
		for _, l2 := range tags() {
			wear(l2.name, l2.put(base.Frame), l2.pass)
		}
		for _, l3 := range internet(v4) {
			inner := l3.put(base.Frame)
			wear(l3.name, inner, l3.pass)
			wear(l3.name+", tagged twice", Tagged(inner, 0x88a8, 0x8100), l3.pass)
		}
		for n := range 9 { // of odd length too: what follows the packet is the link's padding
			padding := slices.Repeat([]byte{0xff}, n)
			wear(fmt.Sprintf("%d bytes of padding", n), append(slices.Clone(base.Frame), padding...), 0)
		}
	}
}

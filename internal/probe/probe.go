// SPDX-License-Identifier: Apache-2.0

// Package probe is the registry of probe types. A type is one file here with
// one call of register: configuration, plan, engine and metrics read what they
// need from the Type.
package probe

import (
	"slices"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// Outcome is what an answer says about the probe it belongs to.
type Outcome uint8

const (
	Answered Outcome = iota // the round trip counts
	Refused                 // an ICMP error that ends the wait: counted by type and code, and as lost
)

// Type is a kind of probe. Types are immutable; any goroutine may use one.
type Type struct {
	Name  string       // in the configuration: "TCPsyn"
	Proto packet.Proto // what goes on the wire

	// Metric is the prefix of the series and Help the phrase that ends their
	// help text.
	Metric string
	Help   string
	// Mismatch names further series (without the prefix) that this type's
	// users expect, each with its help text.
	Mismatch []Series

	NeedsPort    bool // dst_port is required
	SourcePorts  bool // the groups' source ports apply
	GroupPayload bool // the group's ip_payload_size applies where the target has none
	HeaderLen    int  // bytes of the L4 header
	MinPayload   int  // bytes after it that the token needs
	// OneInFlight: a four-tuple carries one unanswered probe at a time.
	OneInFlight bool
	// Reset: a SYN-ACK is answered by a RST.
	Reset bool

	// Judge says what an ICMP error quoting our probe means. fromTarget is
	// whether the probed address itself sent it.
	Judge func(r *packet.Reply, fromTarget bool) Outcome
}

// Series names a further series of a type.
type Series struct {
	Name, Help string
	// Unmatched: it counts answers of which all but the number of the probe is
	// right. Otherwise it stays 0: what netprobify counted there cannot come, since
	// the token of an answer is bound to its addresses and ports.
	Unmatched bool
}

var types []*Type

func register(t *Type) *Type {
	types = append(types, t)
	slices.SortFunc(types, func(a, b *Type) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return t
}

// Types returns every registered type, sorted by name.
func Types() []*Type { return types }

// Lookup returns the type with this configuration name.
func Lookup(name string) (*Type, bool) {
	for _, t := range types {
		if t.Name == name {
			return t, true
		}
	}
	return nil, false
}

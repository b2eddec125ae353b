// SPDX-License-Identifier: Apache-2.0

package probe

import "github.com/netprobe-xdp/netprobe-xdp/internal/packet"

// UDPunreachable sends to a closed UDP port; any destination-unreachable code
// that the target itself sends is an answer. One from a router is a loss.
var UDPunreachable = register(&Type{
	Name:        "UDPunreachable",
	Proto:       packet.UDP,
	Metric:      "udp_unreachable",
	Help:        "udp unreachable probing",
	Mismatch:    []Series{{"port_mismatch_count", "port source/destination mismatch.", false}},
	NeedsPort:   true,
	SourcePorts: true,
	HeaderLen:   8,
	MinPayload:  packet.TokenLen,
	Judge: func(r *packet.Reply, fromTarget bool) Outcome {
		if fromTarget && r.Unreachable() {
			return Answered
		}
		return Refused
	},
})

// SPDX-License-Identifier: Apache-2.0

package probe

import "github.com/netprobe-xdp/netprobe-xdp/internal/packet"

// TCPsyn sends a SYN; SYN-ACK and RST-ACK are answers alike. An ICMP error is
// reported by type and code, and counts as lost.
var TCPsyn = register(&Type{
	Name:   "TCPsyn",
	Proto:  packet.TCP,
	Metric: "tcpsyn",
	Help:   "tcp syn stealth probing",
	Mismatch: []Series{
		{"match_ack_fail_count", "fail to match response packet with sent packet using ack.", true},
		{"port_mismatch_count", "port source/destination mismatch.", false},
	},
	NeedsPort:   true,
	SourcePorts: true,
	HeaderLen:   20,
	OneInFlight: true,
	Reset:       true,
	Judge:       func(*packet.Reply, bool) Outcome { return Refused },
})

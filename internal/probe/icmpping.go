// SPDX-License-Identifier: Apache-2.0

package probe

import "github.com/netprobe-xdp/netprobe-xdp/internal/packet"

// ICMPping sends an echo request. An ICMP error from the target itself is an
// answer, as in netprobify; one from a router on the way is a loss.
var ICMPping = register(&Type{
	Name:         "ICMPping",
	Proto:        packet.ICMP,
	Metric:       "icmp",
	Help:         "ICMP ping probing",
	GroupPayload: true,
	HeaderLen:    8,
	MinPayload:   packet.TokenLen,
	Judge:        answeredByTarget,
})

func answeredByTarget(_ *packet.Reply, fromTarget bool) Outcome {
	if fromTarget {
		return Answered
	}
	return Refused
}

// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"fmt"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/engine"
	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Describe writes an event of the engine as the API has it, without what depends on
// who asked: the index of the target, and words.
func Describe(e *engine.Event) api.ProbeEvent {
	out := api.ProbeEvent{Kind: kinds[e.Kind], Time: e.At, Address: e.Target.Addrs[e.Addr].String(), Seq: uint32(max(0, e.Packet))}
	if e.Local.IsValid() {
		out.Local, out.SourcePort = e.Local.String(), e.SourcePort
	}
	out.Bracket, out.Marked, out.Reordered, out.TTL = e.Bracket.Seconds(), e.Uncertain, e.Reordered, e.TTL
	if e.RoundTrip > 0 {
		out.RoundTrip = new(float64)
		*out.RoundTrip = e.RoundTrip.Seconds()
	}
	switch e.Reply {
	case packet.SynAck:
		out.Answer = "syn_ack"
	case packet.RstAck:
		out.Answer = "rst_ack"
	case packet.Echo:
		out.Answer = "echo_reply"
	case packet.Error:
		out.Answer, out.From = fmt.Sprintf("icmp %d/%d", e.Type, e.Code), e.From.String()
	}
	switch e.Kind {
	case engine.Lost, engine.Refused:
		out.Cause = e.Cause.String()
	case engine.Unknown:
		out.Cause = e.Doubt.String()
	case engine.NotSent:
		out.Cause = e.Reason.String()
	}
	return out
}

var kinds = [...]string{
	engine.Sent: api.ProbeSent, engine.Answered: api.ProbeAnswered, engine.Refused: api.ProbeRefused, engine.Lost: api.ProbeLost,
	engine.Unknown: api.ProbeUnknown, engine.NotSent: api.ProbeNotSent, engine.Duplicate: api.ProbeDup, engine.Late: api.ProbeLate,
}

// Why says in words why a probe counts as it does.
func Why(e *engine.Event) string {
	switch e.Kind {
	case engine.Sent:
		return fmt.Sprintf("it left; the kernel took %v to send it", e.Bracket.Round(100*time.Nanosecond))
	case engine.Answered:
		return "answered: " + what(e) + timed(e)
	case engine.Refused:
		return "lost, cause icmp_error: " + what(e)
	case engine.Duplicate:
		return "a second answer to a probe that has one: " + what(e) + "; counted as a duplicate"
	case engine.Late:
		return "an answer after its probe was given up: " + what(e) + "; counted as late, the probe stays lost or unknown"
	case engine.NotSent:
		return "not sent, and no loss: " + e.Reason.Meaning()
	case engine.Unknown:
		return "unknown, and no loss: nothing came within " + e.Target.Timeout.String() + ", but our own side may have lost the answer: " + e.Doubt.Meaning()
	}
	switch {
	case e.Cause == result.NoNeighbour:
		return "lost, cause no_neighbour: the next hop does not answer ARP or ND, so nothing could be sent; the network did not do its part"
	case e.TooLate:
		return fmt.Sprintf("lost, cause timeout: %s after %v, and the timeout is %v; counted as late too", what(e), e.RoundTrip.Round(time.Microsecond), e.Target.Timeout)
	}
	return "lost, cause timeout: nothing came back within " + e.Target.Timeout.String()
}

func timed(e *engine.Event) string {
	switch {
	case e.Untimed:
		return "; the answer's receive time is before the probe's send time, so there is no round trip"
	case e.Uncertain:
		return fmt.Sprintf("; the kernel took %v to send it, so that the round trip is too uncertain for percentiles", e.Bracket.Round(100*time.Nanosecond))
	case e.Reordered:
		return "; it came after the answer to a later probe of the path: reordered"
	}
	return ""
}

// what says what came back.
func what(e *engine.Event) string {
	switch e.Reply {
	case packet.SynAck:
		return "SYN-ACK, the port is open (it got a reset, so that no connection is left)"
	case packet.RstAck:
		return "RST, the port is closed, or a firewall says so"
	case packet.Echo:
		return "echo reply"
	case packet.Error:
		by := e.From.String()
		if e.From == e.Target.Addrs[e.Addr] {
			by = "the target itself"
		}
		return fmt.Sprintf("ICMP error %d/%d (%s) from %s", e.Type, e.Code, errorName(e.Target.Family, e.Type, e.Code), by)
	}
	return "an answer"
}

// errorName is what an ICMP error says (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443
// section 3).
func errorName(family string, typ, code uint8) string {
	names := map[[2]uint8]string{
		{3, 0}: "network unreachable", {3, 1}: "host unreachable", {3, 2}: "protocol unreachable", {3, 3}: "port unreachable",
		{3, 4}: "fragmentation needed", {3, 9}: "network prohibited", {3, 10}: "host prohibited", {3, 13}: "administratively prohibited",
		{11, 0}: "TTL exceeded on the way",
	}
	if family == "ipv6" {
		names = map[[2]uint8]string{
			{1, 0}: "no route", {1, 1}: "administratively prohibited", {1, 3}: "address unreachable", {1, 4}: "port unreachable",
			{1, 5}: "source address failed policy", {1, 6}: "route rejected", {2, 0}: "packet too big", {3, 0}: "hop limit exceeded on the way",
		}
	}
	if name, ok := names[[2]uint8{typ, code}]; ok {
		return name
	}
	return "see the IANA registry of ICMP parameters"
}

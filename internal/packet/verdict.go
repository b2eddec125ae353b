// SPDX-License-Identifier: Apache-2.0

package packet

import "fmt"

// Verdict is what the rules say of a received frame: 1 to 4 are the Kind of a
// reply that is ours, everything above a reason to leave the frame to the host.
// bpf/include/steer.h has the same names and numbers.
type Verdict uint8

const (
	NotIP      Verdict = iota + 5 // neither IPv4 nor IPv6 behind at most two VLAN tags
	Malformed                     // ends before its headers do, or they contradict each other
	Fragment                      // a fragment other than the first
	Extensions                    // more IPv6 extension headers than are looked through
	NotReply                      // a protocol, type or flags that no reply to a probe has
	NotLocal                      // not to an address that we probe from
	NotPort                       // a port that we do not probe from or to
	BareReset                     // a RST without ACK: cannot prove what it answers
	Redirect                      // an ICMP redirect: the host's routes follow it
	BadToken                      // everything fits but the token
	BadQuote                      // an ICMP error that quotes too little, or no packet of ours
	NoSocket                      // ours, but no socket serves its queue (XDP program only)
	NoMetadata                    // ours, but the driver has no room for the receive time (XDP program only)

	Verdicts // how many there are, Verdict 0 included
)

var verdictNames = [Verdicts]string{
	"none", "syn_ack", "rst_ack", "echo", "error",
	"not_ip", "malformed", "fragment", "extensions", "not_reply", "not_local", "not_port",
	"bare_reset", "redirect", "bad_token", "bad_quote", "no_socket", "no_metadata",
}

// String returns the verdict's name, which is also its label in metrics.
func (v Verdict) String() string {
	if v < Verdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Steered says whether the frame is a reply of ours; then the verdict is its
// Kind.
func (v Verdict) Steered() bool { return v >= Verdict(SynAck) && v <= Verdict(Error) }

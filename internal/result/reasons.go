// SPDX-License-Identifier: Apache-2.0

package result

// Reason is why a probe was not sent by our own side.
type Reason uint8

// The reasons for which a probe is not sent; Meaning says what each is.
const (
	NoRoute Reason = iota
	OtherInterface
	LinkDown
	NeighbourPending
	RingFull
	TupleBusy
	Blocked
	TooLarge
	Behind
	Stopped
	numReasons
)

// named is a label value and what it means, for people.
type named struct{ name, meaning string }

var reasons = [numReasons]named{
	NoRoute:          {"no_route", "the kernel has no route to the address, or no source address"},
	OtherInterface:   {"other_interface", "the route leaves by an interface that was not given with --iface"},
	LinkDown:         {"link_down", "the interface is down, without carrier or gone, or something keeps our program from it (the log says what)"},
	NeighbourPending: {"neighbour_pending", "the next hop was asked for its MAC address and has had no time to answer yet"},
	RingFull:         {"ring_full", "the kernel took no more frames"},
	TupleBusy:        {"tuple_busy", "all that the flow may carry is under way; for TCP one probe per four-tuple: more source ports are needed"},
	Blocked:          {"blocked", "safety.block_file holds the address, or safety.allow_file does not"},
	TooLarge:         {"too_large", "the packet is longer than the route's MTU, or than a frame of the sockets"},
	Behind:           {"behind", "more than an interval overdue"},
	Stopped:          {"stopped", "all sending is stopped: safety.kill_file is there, or the control API was asked to (ctl stop)"},
}

// String returns the label value.
func (r Reason) String() string { return reasons[r].name }

// Meaning says for people what the reason is.
func (r Reason) Meaning() string { return reasons[r].meaning }

// Reasons returns every reason.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Cause is why a probe that was owed an answer is counted lost.
type Cause uint8

// The causes of loss; Meaning says what each is.
const (
	Timeout Cause = iota
	NoNeighbour
	ICMPError
	numCauses
)

var causes = [numCauses]named{
	Timeout:     {"timeout", "no answer in time"},
	NoNeighbour: {"no_neighbour", "the next hop does not answer ARP or ND"},
	ICMPError:   {"icmp_error", "something on the way, or the target, refused; netprobe_icmp_errors_total says how"},
}

// String returns the label value.
func (c Cause) String() string { return causes[c].name }

// Meaning says for people what the cause is.
func (c Cause) Meaning() string { return causes[c].meaning }

// Doubt is why a probe without an answer is not counted as lost: our own side
// may have lost the answer.
type Doubt uint8

// The doubts; Meaning says what each is.
const (
	RingOverflow Doubt = iota
	StalledWorker
	Detached
	UnservedQueue
	WentDown
	InterfaceDropped
	numDoubts
)

var doubts = [numDoubts]named{
	RingOverflow:     {"ring_overflow", "a receive ring was full, or had no empty frames, and answers were dropped"},
	StalledWorker:    {"stalled_worker", "nobody looked at a receive ring for ten seconds"},
	Detached:         {"detached", "the interface was gone, or our program or sockets were not on it, at some time while the answer was awaited"},
	UnservedQueue:    {"unserved_queue", "answers came in on a receive queue that had no socket of ours yet (ethtool -L has just added it)"},
	WentDown:         {"link_down", "our link went down while the answer was awaited"},
	InterfaceDropped: {"interface_dropped", "the network card dropped one frame in 1,000 or more of what arrived, its ring being full (rx_missed_errors and the like): this host was too slow"},
}

// String returns the label value.
func (d Doubt) String() string { return doubts[d].name }

// Meaning says for people what the doubt is.
func (d Doubt) Meaning() string { return doubts[d].meaning }

// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// ProbeRequest is the body of POST /probe: probes that are sent now, once, under
// the daemon's caps. The answer is a stream of ProbeEvent, one JSON value a line
// (application/jsonl); it ends with one of kind "done", or "failed". A client that
// goes ends it.
type ProbeRequest struct {
	// Targets are probed at the same time. Their names and groups are not looked
	// at; a prefix or range stands for all its addresses.
	Targets []TargetSpec `json:"targets"`
	// Count is how many probes each address gets.
	Count int `json:"count"`
	// IntervalSeconds is the time between two probes of the same address; 0: as
	// Rate allows.
	IntervalSeconds float64 `json:"interval_seconds"`
	// Rate is how many probes per second leave in all, at most; 0: as the
	// interval and the caps allow.
	Rate float64 `json:"rate,omitempty"`
	// SourcePorts are the first and last one to send from, in turn; left out: as many
	// above 61000 as the pace needs, none of them of a group.
	SourcePorts []uint16 `json:"source_ports,omitempty"`
	DSCP        uint8    `json:"dscp,omitempty"`
	// Quiet leaves out the events of single probes; "progress" comes all the same.
	Quiet bool `json:"quiet,omitempty"`
}

// The kinds of a ProbeEvent.
const (
	ProbeBegun    = "begun"     // of each target once; Planned says how many probes there will be, Address where there is one address
	ProbeNotFound = "not_found" // the target's name has no address; Cause says why
	ProbeSent     = "sent"      // only in a debug log
	ProbeAnswered = "answered"  // in time
	ProbeRefused  = "refused"   // by an ICMP error: it is lost
	ProbeLost     = "lost"      // Cause says why
	ProbeUnknown  = "unknown"   // Cause says why
	ProbeNotSent  = "not_sent"  // Cause says why
	ProbeDup      = "duplicate" // a second answer to one probe
	ProbeLate     = "late"      // an answer after the timeout
	ProbeProgress = "progress"  // Done of Planned; about once a second
	ProbeMissed   = "missed"    // Done says how many events were left out because nobody read them in time
	ProbeSummary  = "summary"   // of one address, at the end
	ProbeDone     = "done"      // all is accounted for; Summary is that of all
	ProbeFailed   = "failed"    // Problem says why
)

// ProbeEvent is something that happened to a probe. Fields that do not apply are
// left out.
type ProbeEvent struct {
	Kind    string    `json:"kind"`
	Time    time.Time `json:"time"`
	Target  int       `json:"target"`            // index into ProbeRequest.Targets
	Address string    `json:"address,omitempty"` // probed
	Seq     uint32    `json:"seq"`               // of the probe, of those to this address, from 0; of "duplicate" and "late" only where it is known

	Group      string `json:"group,omitempty"` // in a debug log
	Local      string `json:"local,omitempty"`
	SourcePort uint16 `json:"source_port,omitempty"`

	RoundTrip *float64 `json:"round_trip_seconds,omitempty"`
	// Bracket is how uncertain the send time is: how long the kernel took to send.
	Bracket float64 `json:"bracket_seconds,omitempty"`
	Marked  bool    `json:"marked,omitempty"` // too uncertain for percentiles
	// Reordered: it came after the answer to a later probe of the same path.
	Reordered bool `json:"reordered,omitempty"`

	TTL    uint8  `json:"ttl,omitempty"`    // or hop limit of the answer
	Answer string `json:"answer,omitempty"` // what came back: "syn_ack", "rst_ack", "echo_reply", "icmp 3/13"
	From   string `json:"from,omitempty"`   // who sent an ICMP error
	Cause  string `json:"cause,omitempty"`

	// Why says in words why the probe counts as it does; in a debug log only.
	Why string `json:"why,omitempty"`

	Summary *Summary `json:"summary,omitempty"`
	Done    uint64   `json:"done,omitempty"`
	Planned uint64   `json:"planned,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// Summary is what came of the probes to one address, or to all.
type Summary struct {
	Sent       uint64            `json:"sent"` // Answered and Lost
	Answered   uint64            `json:"answered"`
	Lost       uint64            `json:"lost"`
	Causes     map[string]uint64 `json:"causes,omitempty"` // of the lost
	Duplicates uint64            `json:"duplicates"`
	Late       uint64            `json:"late"`
	Reordered  uint64            `json:"reordered"`
	Marked     uint64            `json:"marked"` // answered, with a send time too uncertain for the round trips

	// NotSent and Unknown are local failures, by reason: they are no loss.
	NotSent map[string]uint64 `json:"not_sent,omitempty"`
	Unknown map[string]uint64 `json:"unknown,omitempty"`

	RoundTrip *Trips `json:"round_trip,omitempty"` // left out where there is none
}

// Trips are the figures of round trips, in seconds. Where Approximate, there were too
// many to keep, and the percentiles are within 0.6% of the exact ones.
type Trips struct {
	Min         float64 `json:"min_seconds"`
	Mean        float64 `json:"mean_seconds"`
	Max         float64 `json:"max_seconds"`
	P50         float64 `json:"p50_seconds"`
	P95         float64 `json:"p95_seconds"`
	P99         float64 `json:"p99_seconds"`
	Jitter      float64 `json:"jitter_seconds"` // mean difference between one answer and the next
	Approximate bool    `json:"approximate,omitempty"`
	Uncertain   bool    `json:"uncertain,omitempty"` // all answers are marked, and so are these figures
}

// LossRatio is lost/sent; ok is false when nothing was sent.
func (s *Summary) LossRatio() (ratio float64, ok bool) {
	if s.Sent == 0 {
		return 0, false
	}
	return float64(s.Lost) / float64(s.Sent), true
}

// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// TargetSpec says what to probe: the keys of a target in netprobify's section
// targets.
type TargetSpec struct {
	Name          string            `json:"name"`
	Type          string            `json:"type"`                     // TCPsyn, ICMPping or UDPunreachable
	Destination   string            `json:"destination"`              // address, host name, prefix or range
	Family        string            `json:"address_family,omitempty"` // ipv4 or ipv6; default: the address's, of a name ipv4
	DstPort       uint16            `json:"dst_port,omitempty"`
	NbPackets     int               `json:"nb_packets,omitempty"` // per group and round; default 1
	Timeout       float64           `json:"timeout_seconds,omitempty"`
	IPPayloadSize int               `json:"ip_payload_size,omitempty"` // bytes
	DontFragment  *bool             `json:"dont_fragment,omitempty"`   // default true
	Groups        []string          `json:"groups,omitempty"`          // default: those that targets register to by themselves
	State         string            `json:"state,omitempty"`
	AlertLevel    string            `json:"alert_level,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// AddTargets is the body of POST /targets: all are added, or none.
type AddTargets struct {
	Targets []TargetSpec `json:"targets"`
	// Owner is who adds them, for others to see. A target of another owner is not
	// replaced.
	Owner string `json:"owner"`
	// LifetimeSeconds is after how long they go away by themselves; 0: at the end
	// of the daemon.
	LifetimeSeconds float64 `json:"lifetime_seconds,omitempty"`
}

// Pause is the body of POST /targets/{name}/pause.
type Pause struct {
	Owner string `json:"owner,omitempty"`
	// LifetimeSeconds is after how long probing goes on by itself; 0: when it is
	// resumed.
	LifetimeSeconds float64 `json:"lifetime_seconds,omitempty"`
}

// Target is one target and its latest whole round in each group.
type Target struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Destination string            `json:"destination"` // as configured
	Address     string            `json:"address,omitempty"`
	Family      string            `json:"address_family"`
	DstPort     uint16            `json:"dst_port,omitempty"`
	State       string            `json:"state"`
	AlertLevel  string            `json:"alert_level,omitempty"`
	Interface   string            `json:"interface,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`

	// Source is where the target comes from: "config", "api", or the name of an inventory.
	Source  string     `json:"source"`
	Owner   string     `json:"owner,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Paused  bool       `json:"paused"`
	Resumes *time.Time `json:"resumes,omitempty"`

	ThresholdLossPercent    *float64 `json:"threshold_loss_percent,omitempty"`
	ThresholdLatencySeconds *float64 `json:"threshold_latency_seconds,omitempty"`

	Groups []GroupResult `json:"groups"`
}

// Targets is the answer of GET /targets.
type Targets struct {
	Now time.Time `json:"now"`
	// Total is how many fit the query; Targets are those of the page that was
	// asked for.
	Total   int      `json:"total"`
	Targets []Target `json:"targets"`
}

// GroupResult is what was measured of a target in one group.
type GroupResult struct {
	Group string `json:"group"`

	// Totals since the start.
	Sent       uint64            `json:"sent"`
	Lost       uint64            `json:"lost"`
	Causes     map[string]uint64 `json:"causes,omitempty"`      // of the lost
	NotSent    map[string]uint64 `json:"not_sent,omitempty"`    // by reason
	Unknown    map[string]uint64 `json:"unknown,omitempty"`     // by reason
	ICMPErrors map[string]uint64 `json:"icmp_errors,omitempty"` // by "type/code"
	Duplicates uint64            `json:"duplicates"`
	Late       uint64            `json:"late"`
	Reordered  uint64            `json:"reordered"`
	TTLChanges uint64            `json:"ttl_changes"`
	Marked     uint64            `json:"marked"`

	Round *Round `json:"round,omitempty"` // the last whole one; left out: there is none yet
}

// Round is one whole round of a target in one group.
type Round struct {
	End       time.Time `json:"end"`
	Sent      uint32    `json:"sent"`
	Answered  uint32    `json:"answered"`
	Lost      uint32    `json:"lost"`
	LossRatio *float64  `json:"loss_ratio,omitempty"` // left out: nothing was sent

	// Of the round trips; left out where there are none.
	RoundTrip *RoundTrip `json:"round_trip,omitempty"`
}

// RoundTrip is how the round trips of a round, or of several, were distributed,
// seconds.
type RoundTrip struct {
	Min         float64            `json:"min_seconds"`
	Max         float64            `json:"max_seconds"`
	Jitter      float64            `json:"jitter_seconds"` // mean difference between consecutive ones
	Percentiles map[string]float64 `json:"percentiles"`    // by percent, "95"
	// Uncertain: all send times were, and so these are.
	Uncertain bool `json:"uncertain,omitempty"`
}

// TargetDetail is one target, its last rounds and its paths.
type TargetDetail struct {
	Target
	// Paths are all there are, or of each group the first: at most 1000 in all.
	Paths      []Path `json:"paths"`
	PathsTotal int    `json:"paths_total"` // how many there are
}

// Path is one source port to one address of a target in one group, over its last
// rounds, the newest first. The newest may be under way.
type Path struct {
	Group      string      `json:"group"`
	Local      string      `json:"local,omitempty"` // left out: it cannot be sent to now
	SourcePort uint16      `json:"source_port"`     // of ICMP the echo identifier
	Remote     string      `json:"remote"`
	Sent       int         `json:"sent"`     // over the rounds
	Answered   int         `json:"answered"` // over the rounds
	RoundTrip  float64     `json:"round_trip_seconds,omitempty"`
	Rounds     []PathRound `json:"rounds"`
}

// PathRound is one round of a path.
type PathRound struct {
	Sent      uint16  `json:"sent"`
	Answered  uint16  `json:"answered"`
	RoundTrip float64 `json:"round_trip_seconds,omitempty"` // the mean
}

// HistoryLimits say how much of the past is kept. It is in memory only, and gone
// with the daemon.
type HistoryLimits struct {
	MemoryBytes     int64   `json:"memory_bytes"`
	MaxMemoryBytes  int64   `json:"max_memory_bytes"`
	OldestSeconds   float64 `json:"oldest_seconds"`   // how far back it goes at the most, by what is kept now
	ResolutionSteps []Step  `json:"resolution_steps"` // finest first
}

// Step is one resolution of the history.
type Step struct {
	StepSeconds float64 `json:"step_seconds"`
	KeptSeconds float64 `json:"kept_seconds"`
}

// History is the past of one target in one group, oldest first.
type History struct {
	Target      string  `json:"target"`
	Group       string  `json:"group"`
	StepSeconds float64 `json:"step_seconds"`
	Points      []Point `json:"points"`
}

// Point is what was measured within one step.
type Point struct {
	Time     time.Time `json:"time"` // the step's begin
	Sent     uint32    `json:"sent"`
	Answered uint32    `json:"answered"`
	Lost     uint32    `json:"lost"`
	NotSent  uint32    `json:"not_sent,omitempty"`
	Unknown  uint32    `json:"unknown,omitempty"`
	// Bands are min, p25, p50, p75, p95 and max of the round trips, seconds; left
	// out where there are none.
	Bands []float64 `json:"bands,omitempty"`
}

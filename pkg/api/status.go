// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// State is the answer of /health and /ready.
type State struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not
}

// Info is what a daemon is.
type Info struct {
	Name       string    `json:"name"` // "netprobe-xdp"
	Version    string    `json:"version"`
	Revision   string    `json:"revision"`
	APIVersion string    `json:"api_version"`
	ProbeName  string    `json:"probe_name"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	ConfigFile string    `json:"config_file,omitempty"` // left out: it runs without one
	Settings   string    `json:"settings_file,omitempty"`
	MetricsURL string    `json:"metrics_url"`
	Interfaces []string  `json:"interfaces"`
	// NetNS tells the network namespace of the interfaces from all others of the host:
	// device and inode of its file.
	NetNS string `json:"netns"`
}

// Status is how a daemon fares.
type Status struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`

	Healthy State `json:"healthy"`
	Ready   State `json:"ready"`

	// Stopped: safety.kill_file or POST /stop keeps everything from being sent.
	Stopped       bool   `json:"stopped"`
	StoppedReason string `json:"stopped_reason,omitempty"`
	ReloadFailed  bool   `json:"reload_failed"` // the last one

	Targets         int     `json:"targets"`
	Paused          int     `json:"paused"`
	IntervalSeconds float64 `json:"interval_seconds"`
	PlannedPPS      float64 `json:"planned_pps"` // probes per second
	MaxPPS          float64 `json:"max_pps"`     // safety.max_pps

	// Totals over all targets since the start, at most a second old.
	Sent    uint64            `json:"sent"`
	Lost    uint64            `json:"lost"`
	NotSent map[string]uint64 `json:"not_sent"` // by reason
	Unknown map[string]uint64 `json:"unknown"`  // by reason
	Marked  uint64            `json:"marked"`

	Interfaces []Interface `json:"interfaces"`

	// History says how long the last rounds are kept.
	History HistoryLimits `json:"history"`
}

// Interface is one that probes leave by.
type Interface struct {
	Name               string            `json:"name"`
	Mode               string            `json:"xdp_mode"` // native or generic
	Bind               string            `json:"bind"`     // copy or zerocopy
	ReceiveClock       string            `json:"receive_clock"`
	ScheduleLagSeconds float64           `json:"schedule_lag_seconds"`
	Foreign            uint64            `json:"foreign"`
	ClockFaults        uint64            `json:"clock_faults"`
	Queues             []Queue           `json:"queues"`
	PassedByReason     map[string]uint64 `json:"passed_by_reason"`
}

// Queue is one receive queue of an interface, in packets.
type Queue struct {
	ID            int    `json:"id"`
	Steered       uint64 `json:"steered"`         // replies handed to our socket
	Passed        uint64 `json:"passed"`          // left to the host
	RxRingFull    uint64 `json:"rx_ring_full"`    // replies lost on our own side
	FillRingEmpty uint64 `json:"fill_ring_empty"` // the same
}

// Reloaded says what a reload changed, target by target.
type Reloaded struct {
	Enabled   []string     `json:"enabled"`  // targets that are new
	Updated   []string     `json:"updated"`  // that changed
	Disabled  []string     `json:"disabled"` // that are gone
	Failed    []FieldError `json:"failed"`   // that could not be carried out, and why
	Unchanged int          `json:"unchanged"`
}

// Config is the configuration in force, with every default filled in. Secrets are
// left out.
type Config struct {
	YAML string `json:"yaml"`
}

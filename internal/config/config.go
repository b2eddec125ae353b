// SPDX-License-Identifier: Apache-2.0

// Package config turns a netprobify configuration file, an optional settings
// file, the environment and flags into one validated Config. It does not touch
// the network.
package config

import (
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// Config is a whole, valid configuration. It is immutable once Load returned
// it, so any goroutine may read it.
type Config struct {
	File     string // as given; "" when the program runs without one
	Settings string // the --settings file, "" without one

	Global  Global
	Groups  []Group  // in the order of the file
	Targets []Target // in the order of the file, those of inventories behind

	Engine  Engine
	Safety  Safety
	Metrics Metrics
	History History
	Web     Web
	Push    Push
	API     API

	// Notices are things said once in the log at INFO: keys that are accepted
	// and no longer needed, payloads raised to hold the token.
	Notices []string

	// Warnings are things that are probably not meant, though they can be
	// carried out: said once in the log at WARN, and by check.
	Warnings []Fault

	// Repeated counts the targets of inventories read last that are left out
	// because an earlier one has the same name, by that name. Of very many names
	// some are missing.
	Repeated map[string]uint64

	// Inventories are those that are not disabled, in the order of the file.
	Inventories []Inventory

	restart   map[string]string     // values of keys that a reload does not take up, by section and key
	inForce   map[string][]keyValue // by section
	positions positions
	listed    *listed // where the targets of inventories were read; nil: there are none
	own       []Fault // Warnings without those of lists
}

// Global is the section `global` of netprobify.
type Global struct {
	ProbeName                 string
	Interval                  time.Duration
	IntervalPackets           time.Duration // gap between a target's packets; 0: spread over the interval
	LoggingLevel              string        // CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET
	PrometheusAddress         string
	PrometheusPort            int
	DNSUpdateInterval         time.Duration // 0: resolve once
	ReloadConfInterval        time.Duration // 0: off
	Percentiles               []int         // each 1..100; empty: no round-trip series
	DisableDynamicInventories []string
}

// Group is one entry of `groups`.
type Group struct {
	Name               string
	SrcIPv4            netip.Addr   // zero: the kernel chooses
	SrcIPv6            netip.Addr   // zero: the kernel chooses
	SrcSubnetIPv4      netip.Prefix // zero: none; wins over SrcIPv4
	SrcSubnetIPv6      netip.Prefix // zero: none; wins over SrcIPv6
	SrcPortA           uint16
	SrcPortZ           uint16 // inclusive
	IPPayloadSize      int    // bytes; 0: none
	DSCP               uint8  // 0..63
	PermitAutoRegister bool
}

// Target is one entry of `targets`, or of an inventory.
type Target struct {
	Name              string
	Description       string
	Type              string // a name of the registry in internal/probe
	Destination       string // address, host name or, with IsSubnet, prefix or range; see ParseRange
	Family            string // "ipv4" or "ipv6", never empty
	DontFragment      bool
	IsSubnet          bool
	DstPort           uint16 // 0 where the type needs none
	NbPackets         int    // per group and interval
	IPPayloadSize     int    // bytes, L4 header included; 0: none
	ThresholdLatency  *float64
	ThresholdLoss     *float64
	AlertLevel        string
	State             string // "None" when unset
	Timeout           time.Duration
	DNSUpdateInterval time.Duration
	Groups            []int   // indices into Config.Groups in registration order; may be empty
	Labels            []Label // sorted by name; only targets of inventories have any
}

// Label is what an inventory says of a target beside what is probed.
type Label struct{ Name, Value string }

// Engine is our own section `engine`.
type Engine struct {
	Pacing  string        // "spread" or "burst"
	Tick    time.Duration // probes due within one tick share a wake-up
	XDPMode string        // "auto", "native" or "generic"
	Bind    string        // "copy", "zerocopy" or "auto"
	Workers int           // 0: one for each queue, at most one for each CPU
	Pinning []int         // CPUs that workers are pinned to, distinct; empty: not pinned

	// DNSKeep is how long a target keeps its last address while its resolver
	// fails; 0: not at all, as in netprobify.
	DNSKeep time.Duration

	Interfaces     []string // to probe through beside those of the command line, distinct
	ReloadOnChange bool     // load the configuration again when one of its files changes
}

// Safety is our own section `safety`.
type Safety struct {
	MaxPPS        int            // probes per second in all
	MaxPrefixPPS  int            // probes per second into one /24 or /48
	AllowRanges   []netip.Prefix // otherwise refused ranges that are allowed by name
	ForeignSource bool           // permit source addresses the kernel does not call local
	Lists         *Lists         // of block_file and allow_file, read; nil: neither is set
	ListFiles     []string       // those two, where they are set
	KillFile      string         // while this file exists nothing is sent; "": there is none
}

// Metrics is our own section `metrics`.
type Metrics struct {
	MaxSeries  int      // no more series than this are exposed
	Histograms []string // targets with a histogram of round trips, or "all" alone
}

// History is our own section `history`.
type History struct {
	Memory int // bytes that the past of all targets may take; 0: none is kept
}

// Web is our own section `web`.
type Web struct {
	ConfigFile string // of prometheus/exporter-toolkit; "": neither TLS nor users
}

// Push is our own section `push`.
type Push struct {
	URL         string // where pages are sent; "": nowhere
	Interval    time.Duration
	Timeout     time.Duration // of one attempt
	Buffer      int           // bytes of compressed pages that may wait
	ExtraLabels []string      // name=value, names distinct
	Headers     []secret.Text // "Name: value"
	User        string
	Password    secret.Text
	BearerToken secret.Text
}

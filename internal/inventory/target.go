// SPDX-License-Identifier: Apache-2.0

package inventory

// Keys is a set of keys of a line.
type Keys uint32

// Every key that is known.
const (
	Hostname Keys = 1 << iota
	Type
	Destination
	Groups
	Family
	DontFragment
	IsSubnet
	DstPort
	NbPackets
	IPPayloadSize
	Timeout
	DNSUpdateInterval
	ThresholdLatency
	ThresholdLoss
	State
	AlertLevel

	threshold // the map of the two; only to notice it a second time
)

// Target is a plain line: strict JSON with each known key at most once and of
// its JSON type, all text printable ASCII without escapes, and without the rare
// keys creation_date, lifetime, labels and targets. Values are as
// they stand; whether they make sense is not looked at. The slices point into
// the line.
type Target struct {
	Has Keys // the keys that are there and not null

	Hostname, Type, Destination, Family, State, AlertLevel []byte
	Groups                                                 []byte // the whole list as it is written; all its items are text
	DontFragment, IsSubnet                                 bool
	DstPort, NbPackets, IPPayloadSize, DNSUpdateInterval   int64
	Timeout, ThresholdLatency, ThresholdLoss               float64

	Unknown [][]byte // other keys, once each, whatever their values
}

// maxUnknown is how many keys that are not known a plain line may have: each is
// compared with those before it.
const maxUnknown = 16

// scan reads a line into t and says whether it is plain.
func (t *Target) scan(text []byte) bool {
	*t = Target{Unknown: t.Unknown[:0]}
	s := scanner{t: t, rest: text}
	if !s.char('{') {
		return false
	}
	for first := true; ; first = false {
		key, more, ok := s.key(first)
		if !ok || !more {
			return ok && len(s.rest) == 0
		}
		if !s.member(key) {
			return false
		}
	}
}

// member reads the value of a key.
func (s *scanner) member(key []byte) bool {
	t := s.t
	switch string(key) {
	case "hostname":
		return s.textInto(Hostname, &t.Hostname)
	case "type":
		return s.textInto(Type, &t.Type)
	case "destination":
		return s.textInto(Destination, &t.Destination)
	case "address_family":
		return s.textInto(Family, &t.Family)
	case "state":
		return s.textInto(State, &t.State)
	case "alert_level":
		return s.textInto(AlertLevel, &t.AlertLevel)
	case "dst_port":
		return s.wholeInto(DstPort, &t.DstPort)
	case "nb_packets":
		return s.wholeInto(NbPackets, &t.NbPackets)
	case "ip_payload_size":
		return s.wholeInto(IPPayloadSize, &t.IPPayloadSize)
	case "dns_update_interval":
		return s.wholeInto(DNSUpdateInterval, &t.DNSUpdateInterval)
	case "timeout":
		return s.numberInto(Timeout, &t.Timeout)
	case "dont_fragment":
		return s.boolInto(DontFragment, &t.DontFragment)
	case "is_subnet":
		return s.boolInto(IsSubnet, &t.IsSubnet)
	case "groups":
		return s.groups()
	case "threshold":
		return s.threshold()
	case "creation_date", "lifetime", "labels", "targets":
		return false // rare, and known to the caller
	}
	if len(t.Unknown) == maxUnknown {
		return false
	}
	for _, other := range t.Unknown {
		if string(other) == string(key) {
			return false
		}
	}
	t.Unknown = append(t.Unknown, key)
	return s.skip(0)
}

// threshold reads a map with at least one of its two keys.
func (s *scanner) threshold() bool {
	if !s.char('{') || !s.once(threshold, true) {
		return false
	}
	for first := true; ; first = false {
		key, more, ok := s.key(first)
		switch {
		case !ok || !more:
			return ok && !first
		case string(key) == "latency":
			ok = s.numberInto(ThresholdLatency, &s.t.ThresholdLatency)
		case string(key) == "loss":
			ok = s.numberInto(ThresholdLoss, &s.t.ThresholdLoss)
		default:
			return false
		}
		if !ok {
			return false
		}
	}
}

func (s *scanner) groups() bool {
	from := s.rest
	if s.word("null") {
		return s.once(Groups, true)
	}
	if !s.char('[') {
		return false
	}
	for first := true; !s.char(']'); first = false {
		if !first && !s.char(',') {
			return false
		}
		if _, ok := s.text(); !ok {
			return false
		}
	}
	s.t.Groups = from[:len(from)-len(s.rest)]
	return s.once(Groups, false)
}

// SPDX-License-Identifier: Apache-2.0

package inventory

import "strconv"

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
// its JSON type, and all text printable ASCII without escapes. Values are as
// they stand; whether they make sense is not looked at. The slices point into
// the line.
type Target struct {
	Has Keys // the keys that are there and not null

	Hostname, Type, Destination, Family, State, AlertLevel []byte
	Groups                                                 []byte // the whole list as it is written; all its items are text
	DontFragment, IsSubnet                                 bool
	DstPort, NbPackets, IPPayloadSize, DNSUpdateInterval   int64
	Timeout, ThresholdLatency, ThresholdLoss               float64

	Unknown [][]byte // other keys, once each; their values are text, numbers, true, false or null
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
	return s.skip()
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

// scanner reads the subset of JSON (RFC 8259) that plain lines are written in.
// White space is skipped after each token, and a line begins with none.
type scanner struct {
	t    *Target
	rest []byte
	seen Keys
}

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t') {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) char(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.space()
	return true
}

func (s *scanner) word(w string) bool {
	if len(s.rest) < len(w) || string(s.rest[:len(w)]) != w {
		return false
	}
	s.rest = s.rest[len(w):]
	s.space()
	return true
}

// text reads a string of printable ASCII without escapes.
func (s *scanner) text() ([]byte, bool) {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text := s.rest[1:i]
			s.rest = s.rest[i+1:]
			s.space()
			return text, true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// number reads a number; whole is whether it has neither decimals nor an
// exponent.
func (s *scanner) number() (text []byte, whole, ok bool) {
	n := 0
	digits := func() bool {
		from := n
		for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
			n++
		}
		return n > from
	}
	next := func(c byte) bool { return n < len(s.rest) && s.rest[n] == c }
	if next('-') {
		n++
	}
	if next('0') { // no digit may follow
		n++
	} else if !digits() {
		return nil, false, false
	}
	whole = true
	if next('.') {
		n++
		whole = false
		if !digits() {
			return nil, false, false
		}
	}
	if next('e') || next('E') {
		n++
		whole = false
		if next('+') || next('-') {
			n++
		}
		if !digits() {
			return nil, false, false
		}
	}
	text = s.rest[:n]
	s.rest = s.rest[n:]
	s.space()
	return text, whole, true
}

// key reads the next key of an object and the colon; more is false at its end.
func (s *scanner) key(first bool) (key []byte, more, ok bool) {
	if s.char('}') {
		return nil, false, true
	}
	if !first && !s.char(',') {
		return nil, false, false
	}
	key, ok = s.text()
	return key, true, ok && s.char(':')
}

// skip reads a value that is neither a list nor an object.
func (s *scanner) skip() bool {
	if s.word("null") || s.word("true") || s.word("false") {
		return true
	}
	if _, ok := s.text(); ok {
		return true
	}
	_, _, ok := s.number()
	return ok
}

// once notes that key was read; null leaves it out of what the target has. It returns
// false the second time.
func (s *scanner) once(key Keys, null bool) bool {
	again := s.seen&key != 0
	s.seen |= key
	if !null {
		s.t.Has |= key
	}
	return !again
}

func (s *scanner) textInto(key Keys, to *[]byte) bool {
	if s.word("null") {
		return s.once(key, true)
	}
	text, ok := s.text()
	*to = text
	return ok && s.once(key, false)
}

func (s *scanner) boolInto(key Keys, to *bool) bool {
	if s.word("null") {
		return s.once(key, true)
	}
	*to = s.word("true")
	return (*to || s.word("false")) && s.once(key, false)
}

// maxDigits is how many characters a whole number may have: it then fits both
// kinds of number exactly.
const maxDigits = 15

func (s *scanner) wholeInto(key Keys, to *int64) bool {
	if s.word("null") {
		return s.once(key, true)
	}
	text, whole, ok := s.number()
	if !ok || !whole || len(text) > maxDigits {
		return false
	}
	var err error
	*to, err = strconv.ParseInt(string(text), 10, 64)
	return err == nil && s.once(key, false)
}

func (s *scanner) numberInto(key Keys, to *float64) bool {
	if s.word("null") {
		return s.once(key, true)
	}
	text, whole, ok := s.number()
	if !ok || whole && len(text) > maxDigits {
		return false
	}
	var err error
	*to, err = strconv.ParseFloat(string(text), 64)
	return err == nil && s.once(key, false)
}

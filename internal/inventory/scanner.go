// SPDX-License-Identifier: Apache-2.0

package inventory

import "strconv"

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

// maxDepth is how deep lists and objects may be nested in a value that is
// skipped.
const maxDepth = 8

// skip reads any value.
func (s *scanner) skip(depth int) bool {
	switch {
	case depth > maxDepth:
		return false
	case s.char('['):
		for first := true; !s.char(']'); first = false {
			if !first && !s.char(',') || !s.skip(depth+1) {
				return false
			}
		}
		return true
	case s.char('{'):
		for first := true; ; first = false {
			if _, more, ok := s.key(first); !ok || !more {
				return ok
			}
			if !s.skip(depth + 1) {
				return false
			}
		}
	}
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

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// expires is when the lifetime of a target is over; zero: never. As in
// netprobify, only both keys together end it, and a lifetime of 0 does not.
func (t *targetDraft) expires() time.Time {
	if t.created.IsZero() || t.lifetime == 0 {
		return time.Time{}
	}
	return t.created.Add(t.lifetime)
}

// maxLifetime is the longest lifetime that is accepted, in seconds: a hundred
// years, which a Duration holds.
const maxLifetime = 100 * 366 * 24 * 3600

// date reads a moment: as RFC 3339 has it, or in seconds since 1970.
func (v value) date() (time.Time, bool) {
	const allowed = "a date such as 2026-01-31T12:00:00Z (RFC 3339), or seconds since 1970"
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return time.Time{}, false
	}
	switch k := classify(v.node); k {
	case kindText, kindDate:
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(v.node.Value)); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t, true
		}
	case kindInt, kindFloat:
		if f, ok := parseFloat(v.node); ok && f >= 0 && f < 7e9 {
			return time.Unix(0, int64(f*1e9)), true
		}
	}
	v.wrong(allowed)
	return time.Time{}, false
}

// lifetime reads a number of seconds, or text with units. It may be negative,
// and is over then.
func (v value) lifetime() (time.Duration, bool) {
	const allowed = "a number of seconds, or text such as 36h30m"
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return 0, false
	}
	if f, ok := parseFloat(v.node); ok && math.Abs(f) <= maxLifetime {
		return ofSeconds(f), true
	}
	if d, err := time.ParseDuration(v.node.Value); err == nil && classify(v.node) == kindText && math.Abs(d.Seconds()) <= maxLifetime {
		return d, true
	}
	v.wrong(allowed)
	return 0, false
}

// Labels are shown, so there is a limit to them.
const (
	maxLabels    = 100
	maxOwnLabels = 30
	maxLabel     = 256 // bytes of a value
)

// labels reads what is said of a target beside what is probed.
func (v value) labels() ([]Label, bool) {
	const allowed = "printable text of at most 256 bytes"
	entries, ok := v.entries("a map of text, at most 30", maxOwnLabels)
	var all []Label
	for _, e := range entries {
		s, good := e.text(allowed)
		switch {
		case !good:
			ok = false
		case !labelName.MatchString(e.name()):
			e.fault("read the name "+e.quotedName(), "allowed: letters, digits and _, at most 100")
			ok = false
		case len(s) > maxLabel || !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
			e.wrong(allowed)
			ok = false
		}
		all = append(all, Label{e.name(), s})
	}
	slices.SortFunc(all, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return all, ok
}

var labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

func (v value) quotedName() string { return oneLine(shorten(v.name(), maxShown)) }

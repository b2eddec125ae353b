// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Longest times that are accepted, in seconds. They keep products of times and
// rates far from overflow, and a slip of the keyboard from waiting for ever.
const (
	maxInterval = 366 * 24 * 3600
	maxTimeout  = 3600
)

// maxCount is the largest number of packets or series that is accepted.
const maxCount = 100_000_000

var namePattern = regexp.MustCompile(`^[a-z0-9_.-]+$`)

const nameAllowed = "a name of lower-case letters, digits, _ - and ."

// The methods below read one value. Each returns false after it recorded what
// is wrong.

func (v value) text(allowed string) (string, bool) {
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return "", false
	}
	switch classify(v.node) {
	case kindText:
		return v.node.Value, true
	case kindBool, kindInt, kindFloat, kindDate, kindUnclear:
		allowed += "; quote it if it is meant as text"
	}
	v.wrong(allowed)
	return "", false
}

func (v value) label() (string, bool) {
	s, ok := v.text(nameAllowed)
	if ok && !namePattern.MatchString(s) {
		v.wrong(nameAllowed)
		return "", false
	}
	return s, ok
}

func (v value) oneOf(names ...string) (string, bool) {
	if v.node.Kind != yaml.ScalarNode || classify(v.node) != kindText || !slices.Contains(names, v.node.Value) {
		v.wrong(strings.Join(names, ", "))
		return "", false
	}
	return v.node.Value, true
}

func (v value) boolean() (bool, bool) {
	if v.node.Kind != yaml.ScalarNode || classify(v.node) != kindBool {
		v.wrong("true or false, without quotes")
		return false, false
	}
	return strings.EqualFold(v.node.Value, "true"), true
}

func (v value) integer(low, high int) (int, bool) {
	allowed := "a whole number"
	if low > math.MinInt {
		allowed += fmt.Sprintf(", %d to %d", low, high)
	}
	return v.integerAs(allowed, low, high)
}

func (v value) integerAs(allowed string, low, high int) (int, bool) {
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return 0, false
	}
	switch k := classify(v.node); {
	case k == kindUnclear:
		v.wrong(allowed + ", in plain decimal")
		return 0, false
	case k == kindText && classifyPlain(v.node.Value) == kindInt:
		v.wrong(allowed + ", without quotes")
		return 0, false
	case k != kindInt:
		v.wrong(allowed)
		return 0, false
	}
	i := parseInt(v.node.Value)
	if i < low || i > high {
		v.wrong(allowed)
		return 0, false
	}
	return i, true
}

// number reads a number that may have decimals, and may be quoted. With
// positive it must be above 0, otherwise at least low.
func (v value) number(low, high float64, positive bool) (float64, bool) {
	allowed := "a number"
	switch {
	case positive:
		allowed += " above 0, up to " + strconv.FormatFloat(high, 'f', -1, 64)
	case !math.IsInf(low, 0):
		allowed += ", " + strconv.FormatFloat(low, 'f', -1, 64) + " to " + strconv.FormatFloat(high, 'f', -1, 64)
	}
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return 0, false
	}
	f, ok := parseFloat(v.node)
	if !ok || f < low || f > high || positive && f <= 0 {
		v.wrong(allowed)
		return 0, false
	}
	return f, true
}

// wholeSeconds reads a whole number of seconds. Like netprobify it takes a
// negative number for 0 where 0 is allowed.
func (v value) wholeSeconds(low int) (time.Duration, bool) {
	allowed := fmt.Sprintf("a whole number of seconds, %d to %d", low, maxInterval)
	if low == 0 {
		low = math.MinInt
	}
	s, ok := v.integerAs(allowed, low, maxInterval)
	return time.Duration(max(s, 0)) * time.Second, ok
}

// seconds reads a number of seconds that may have decimals.
func (v value) seconds(high float64, positive bool) (time.Duration, bool) {
	f, ok := v.number(0, high, positive)
	d := ofSeconds(f)
	if ok && positive && d == 0 {
		v.wrong("at least a nanosecond, 1e-9")
		return 0, false
	}
	return d, ok
}

func ofSeconds(f float64) time.Duration { return time.Duration(math.Round(f * float64(time.Second))) }

// span reads a duration with a unit ("1ms") or a number of seconds.
func (v value) span(low, high time.Duration) (time.Duration, bool) {
	allowed := fmt.Sprintf("a time such as 1ms or a number of seconds, %v to %v", low, high)
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return 0, false
	}
	var d time.Duration
	if f, ok := parseFloat(v.node); ok {
		d = ofSeconds(math.Min(f, maxInterval))
	} else if parsed, err := time.ParseDuration(v.node.Value); err == nil && classify(v.node) == kindText {
		d = parsed
	} else {
		v.wrong(allowed)
		return 0, false
	}
	if d < low || d > high {
		v.wrong(allowed)
		return 0, false
	}
	return d, true
}

// list reads a list whose items one function reads.
func list[T any](v value, allowed string, item func(value) (T, bool)) ([]T, bool) {
	items, ok := v.items("a list of " + allowed)
	if !ok {
		return nil, false
	}
	all := make([]T, 0, len(items))
	for _, it := range items {
		t, good := item(it)
		ok = ok && good
		all = append(all, t)
	}
	return all, ok
}

// familyOf names the family of an address as the configuration does.
func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

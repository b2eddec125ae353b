// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// kind is what a scalar is. netprobify reads its file twice, as YAML 1.2 to
// validate it and as YAML 1.1 to use it; a scalar has a kind here when both
// agree, or when one of them plainly gives a number, and is kindUnclear
// otherwise.
type kind uint8

const (
	kindText kind = iota
	kindNull
	kindBool
	kindInt
	kindFloat
	kindDate
	kindUnclear // on, 1:30, 08: text to one version of YAML, something else to the other
	kindForeign // a tag that has no place in a configuration
)

var (
	// The integers of YAML 1.1 without its base 60 (yaml.org/type/int.html); 1.2
	// takes all of them for integers too.
	intForm = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$`)
	// Integers of YAML 1.2 only, and base 60 of YAML 1.1 only.
	unclearNumber = regexp.MustCompile(`^[-+]?(?:0o[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|0[0-9_]+)$`)
	floatForm     = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	dateForm      = regexp.MustCompile(`^[0-9]{4}-(?:[0-9]{2}-[0-9]{2}$|[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:)`)
)

// classify returns the kind of a scalar node.
func classify(n *yaml.Node) kind {
	if n.Style&yaml.TaggedStyle != 0 {
		return classifyTagged(n)
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return kindText
	}
	return classifyPlain(n.Value)
}

func classifyTagged(n *yaml.Node) kind {
	want := map[string]kind{"!!null": kindNull, "!!bool": kindBool, "!!int": kindInt, "!!float": kindFloat}
	switch k := classifyPlain(n.Value); {
	case n.Tag == "!!str":
		return kindText
	case n.Tag == "!!float" && k == kindInt:
		return kindFloat
	case k != kindText && want[n.Tag] == k:
		return k
	}
	return kindForeign
}

func classifyPlain(s string) kind {
	if s == "" {
		return kindNull
	}
	switch s[0] {
	case '~', 'n', 'N', 't', 'T', 'f', 'F', 'y', 'Y', 'o', 'O', '=', '<':
		switch s {
		case "~", "null", "Null", "NULL":
			return kindNull
		case "true", "True", "TRUE", "false", "False", "FALSE":
			return kindBool
		case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "=", "<<":
			return kindUnclear
		}
		return kindText
	case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		switch {
		case intForm.MatchString(s):
			return kindInt
		case unclearNumber.MatchString(s):
			return kindUnclear
		case floatForm.MatchString(s):
			return kindFloat
		case dateForm.MatchString(s):
			return kindDate
		}
	}
	return kindText
}

// parseInt reads a scalar of kindInt: 017 is 15, 1_000 is 1000. What does not
// fit is the nearest that does, which no range allows.
func parseInt(s string) int {
	s = strings.ReplaceAll(s, "_", "")
	i, err := strconv.ParseInt(s, 0, 64)
	if err != nil && i == 0 { // 0b and 0x with nothing but underscores
		return math.MinInt64
	}
	return int(i)
}

// parseFloat reads a scalar of kindInt or kindFloat, or quoted text that is a
// number in decimal.
func parseFloat(n *yaml.Node) (float64, bool) {
	switch classify(n) {
	case kindInt:
		return float64(parseInt(n.Value)), true
	case kindFloat, kindText:
		s := strings.TrimSpace(n.Value)
		if !floatForm.MatchString(s) {
			return 0, false
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	return 0, false
}

// keyText returns the text of a mapping's key. A number or a date may be a
// name as long as YAML gives back the very text that was written.
func keyText(n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		return "", false
	}
	s := n.Value
	switch classify(n) {
	case kindText:
		return s, true
	case kindInt:
		return s, strconv.Itoa(parseInt(s)) == s
	case kindFloat:
		f, err := strconv.ParseFloat(s, 64)
		again := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(again, ".") {
			again += ".0"
		}
		return s, err == nil && again == s
	case kindDate:
		_, err := time.Parse(time.DateOnly, s)
		return s, err == nil
	}
	return s, false
}

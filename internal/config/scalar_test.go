// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"

	"go.yaml.in/yaml/v3"
)

// What plain scalars are to PyYAML 6 (YAML 1.1), which netprobify uses the file
// with, checked against it; unclear where YAML 1.2 takes them differently.
func TestClassifyPlain(t *testing.T) {
	for s, want := range map[string]kind{
		"": kindNull, "~": kindNull, "Null": kindNull, "nULL": kindText,
		"true": kindBool, "FALSE": kindBool, "tRUE": kindText,
		"yes": kindUnclear, "On": kindUnclear, "OFF": kindUnclear, "y": kindText, "=": kindUnclear,
		"017": kindInt, "1_000": kindInt, "0x1F": kindInt, "0b11": kindInt, "+5": kindInt, "-0": kindInt, "00": kindInt, "-017": kindInt,
		"08": kindUnclear, "0o17": kindUnclear, "1:30": kindUnclear, "190:20:30": kindUnclear, "1:30.5": kindUnclear,
		"1:60": kindText, "1.2.3": kindText, "1-2": kindText, "0xg": kindText, "_1": kindText, "192.0.2.1": kindText, "2001:db8::1": kindText, "::1": kindText,
		"1e3": kindFloat, "1e-3": kindFloat, ".5": kindFloat, "5.": kindFloat, "1.0e+3": kindFloat, "-.INF": kindFloat, ".NaN": kindFloat,
		"2020-01-01": kindDate, "2020-1-1": kindText, "2020-1-1 10:00:00": kindDate,
		"1.1:2": kindText, "-": kindText, "+": kindText, ".": kindText,
	} {
		if got := classifyPlain(s); got != want {
			t.Errorf("%q: kind %d, want %d", s, got, want)
		}
	}
}

func TestParseInt(t *testing.T) {
	for s, want := range map[string]int{
		"017": 15, "1_000": 1000, "0x1F": 31, "0b11": 3, "+5": 5, "-0": 0, "0_7": 7, "1__0": 10, "-017": -15, "-0x1f": -31, "00": 0,
	} {
		if got := parseInt(s); classifyPlain(s) != kindInt || got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func TestParseFloat(t *testing.T) {
	for s, want := range map[string]float64{"0.1": 0.1, "'0.1'": 0.1, "1e-3": 1e-3, `"1e3"`: 1000, "3": 3, "1_0.5": 10.5, "' 2 '": 2, "017": 15} {
		if got, ok := parseFloat(node(t, s)); !ok || got != want {
			t.Errorf("%s: %v, %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"a", "''", ".inf", "'nan'", "'0x10'", "true", "~", "1:30", "1e999", "'1 2'"} {
		if got, ok := parseFloat(node(t, s)); ok {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func node(t *testing.T, s string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(s), &n); err != nil {
		t.Fatal(err)
	}
	return n.Content[0]
}

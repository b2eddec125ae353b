// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Groups are joined in netprobify's order: those that take every target, then
// register_to, then exclude_from takes away.
func TestRegistration(t *testing.T) {
	const (
		auto    = "permit_target_auto_register: true"
		invited = "permit_target_auto_register: false"
	)
	for _, tt := range []struct {
		name, a, b string // the groups
		target     string
		want       string // the groups of the target, in order
	}{
		{"all that take every target", auto, auto, "", "a b"},
		{"without those by invitation", auto, invited, "", "a"},
		{"by invitation", auto, invited, "explicit_groups: {register_to: [b]}", "a b"},
		{"only by invitation", auto, invited, "auto_register_to_groups: false, explicit_groups: {register_to: [b]}", "b"},
		{"only to one that takes every target", auto, auto, "auto_register_to_groups: false, explicit_groups: {register_to: [b]}", "b"},
		{"in the order of the invitations", invited, invited, "explicit_groups: {register_to: [b, a]}", "b a"},
		{"invited to what it is in", auto, auto, "explicit_groups: {register_to: [a, a]}", "a b"},
		{"without one", auto, auto, "explicit_groups: {exclude_from: [a]}", "b"},
		{"without one that it is not in", auto, invited, "explicit_groups: {exclude_from: [b]}", "a"},
		{"exclusion wins over invitation", auto, invited, "explicit_groups: {register_to: [b], exclude_from: [b]}", "a"},
		{"exclusion wins over both", auto, auto, "explicit_groups: {register_to: [a], exclude_from: [a, b]}", ""},
		{"nothing", auto, auto, "auto_register_to_groups: false", ""},
		{"nobody is invited", invited, invited, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := strings.TrimSuffix("type: ICMPping, destination: 192.0.2.1, "+tt.target, ", ")
			file := filepath.Join(t.TempDir(), "netprobe.yaml")
			text := fmt.Sprintf("global: {probe_name: p, interval: 10, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 0}\n"+
				"groups:\n  a: {%s}\n  b: {%s}\ntargets: {t: {%s}}\n", tt.a, tt.b, target)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			c := mustLoad(t, Options{File: file})
			var got []string
			for _, g := range c.Targets[0].Groups {
				got = append(got, c.Groups[g].Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("in %q, want %q", got, tt.want)
			}
			if off := tt.want == ""; off != (len(c.Warnings) == 1) {
				t.Errorf("warnings: %v", c.Warnings)
			}
		})
	}
}

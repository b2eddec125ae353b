// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzLoad: whatever the files hold, there is either a configuration that keeps
// its promises, or faults of one line each.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"invalid", "valid"} {
		files, err := filepath.Glob(filepath.Join("testdata", dir, "*.*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			if data, err := os.ReadFile(name); err == nil && filepath.Ext(name) != ".want" {
				f.Add(data, []byte("engine: {tick: 1ms}"), filepath.Ext(name) == ".json")
			}
		}
	}
	f.Fuzz(func(t *testing.T, data, settings []byte, json bool) {
		name := "fuzz.yaml"
		if json {
			name = "fuzz.json"
		}
		c, err := decode(&source{name, data}, &source{"settings.yaml", settings}, Options{File: name, Settings: "settings.yaml"})
		if err != nil {
			var faults Faults
			if c != nil || !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("got %v and %v", c, err)
			}
			for _, fault := range faults {
				if s := fault.String(); strings.ContainsAny(s, "\n\r\x1b") || fault.Read == "" {
					t.Fatalf("not one line: %q", s)
				}
			}
			return
		}
		if err := promises(c); err != nil {
			t.Fatal(err)
		}
	})
}

// promises checks what other packages rely on without looking again.
func promises(c *Config) error {
	g := c.Global
	if !namePattern.MatchString(g.ProbeName) || g.Interval <= 0 || g.PrometheusPort < 1 || g.PrometheusPort > 65535 || g.IntervalPackets < 0 {
		return fmt.Errorf("global %+v", g)
	}
	if c.Engine.Workers < 0 || slices.ContainsFunc(c.Engine.Pinning, func(cpu int) bool { return cpu < 0 || cpu > 1023 }) || slices.Contains(c.Metrics.Histograms, "all") && len(c.Metrics.Histograms) > 1 {
		return fmt.Errorf("ours %+v %+v", c.Engine, c.Metrics)
	}
	if c.Engine.Tick <= 0 || c.Safety.MaxPPS < 1 || c.Safety.MaxPrefixPPS < 1 || c.Metrics.MaxSeries < 1 {
		return fmt.Errorf("ours %+v %+v %+v", c.Engine, c.Safety, c.Metrics)
	}
	for _, g := range c.Groups {
		if !namePattern.MatchString(g.Name) || g.SrcPortA == 0 || g.SrcPortA > g.SrcPortZ || g.DSCP > 63 {
			return fmt.Errorf("group %+v", g)
		}
	}
	for _, t := range c.Targets {
		if t.Name == "" || strings.IndexFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || t.Destination == "" || t.NbPackets < 1 || t.Timeout <= 0 || t.Family != "ipv4" && t.Family != "ipv6" {
			return fmt.Errorf("target %+v", t)
		}
		for _, i := range t.Groups {
			if i < 0 || i >= len(c.Groups) {
				return fmt.Errorf("target %+v of %d groups", t, len(c.Groups))
			}
		}
	}
	return nil
}

// FuzzVariable: whatever the environment holds, too.
func FuzzVariable(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "invalid", "*.env"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			f.Add(key, value)
		}
	}
	for _, s := range sections {
		for _, field := range s.fields {
			f.Add(envPrefix+strings.ToUpper(s.name+"__"+field.name), "1")
		}
	}
	base := []byte("global: {probe_name: p, interval: 10, nb_proc: 1, logging_level: INFO, prometheus_port: 8000, dns_update_interval: 0}\ngroups: {g: {}}\n")
	f.Fuzz(func(t *testing.T, key, value string) {
		if strings.HasSuffix(key, "_FILE") && strings.Contains(value, "/") {
			return // files of this machine
		}
		c, err := decode(&source{"fuzz.yaml", base}, nil, Options{File: "fuzz.yaml", Env: []string{key + "=" + value}})
		var faults Faults
		switch {
		case err == nil:
			if err := promises(c); err != nil {
				t.Fatal(err)
			}
		case c != nil || !errors.As(err, &faults) || len(faults) == 0:
			t.Fatalf("got %v and %v", c, err)
		}
		for _, fault := range faults {
			if s := fault.String(); strings.ContainsAny(s, "\n\r\x1b") {
				t.Fatalf("not one line: %q", s)
			}
		}
	})
}

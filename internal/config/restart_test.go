// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a reload does not take up is named, and nothing else.
func TestNeedsRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "netprobe.yaml")
	load := func(global, engine string) *Config {
		t.Helper()
		text := "global: {probe_name: p, interval: 1, logging_level: INFO, dns_update_interval: 0, " + global + "}\ngroups: {g: {}}\nengine: {" + engine + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return mustLoad(t, Options{File: file})
	}
	before := load("prometheus_port: 8000", "pacing: spread, pinning: [1, 2]")
	for _, tt := range []struct {
		global, engine string
		want           []string
	}{
		{"prometheus_port: 8000", "pinning: [1, 2]", nil},
		{"prometheus_port: 8000, percentile: [7]", "pacing: burst, pinning: [1, 2], reload_on_change: true", nil},
		{"prometheus_port: 8001, prometheus_address: 127.0.0.1", "pinning: [1], tick: 2ms", []string{
			file + ":3: engine.pinning: another value than the [1 2] that is in use; restart the program to use it",
			file + ":3: engine.tick: another value than the 1ms that is in use; restart the program to use it",
			file + ":1: global.prometheus_address: another value than the 0.0.0.0 that is in use; restart the program to use it",
			file + ":1: global.prometheus_port: another value than the 8000 that is in use; restart the program to use it",
		}},
	} {
		var got []string
		for _, f := range before.NeedsRestart(load(tt.global, tt.engine)) {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s, %s: %s", tt.global, tt.engine, diff)
		}
	}
}

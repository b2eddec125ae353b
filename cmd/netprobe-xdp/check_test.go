// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

const valid = `global:
  probe_name: test
  interval: 10
  nb_proc: 1
  logging_level: INFO
  prometheus_port: 8000
  dns_update_interval: 300
groups:
  standard: {src_port_a: 65000, src_port_z: 65099}
  other: {src_port_a: 64000, src_port_z: 64099, dscp: 11}
targets:
  web: {type: TCPsyn, destination: 192.0.2.10, dst_port: 443, nb_packets: 20}
  gateway: {type: ICMPping, destination: "2001:db8::1", nb_packets: 10}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// ofFile returns the lines that depend on a configuration alone: which ports are
// reserved is this machine's doing.
func ofFile(lines string) string {
	var kept []string
	for line := range strings.Lines(lines) {
		if !strings.Contains(line, "net.ipv4.ip_local_reserved_ports") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestCheckValid(t *testing.T) {
	file := write(t, "netprobe.yaml", valid)
	// (20 + 10) probes in each of 2 groups every 10 s.
	got := call(t, "check", file)
	got.stderr = ofFile(got.stderr)
	if want := (outcome{0, file + ": 2 targets, 2 groups, 6 probes/s\n", ""}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got = call(t, "check", "-o", "json", file)
	var out struct{ Configuration planSummary }
	if err := json.Unmarshal([]byte(got.stdout), &out); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	if s := out.Configuration; s.File != file || s.Targets != 2 || s.Groups != 2 || s.ProbesPerSecond != 6 || ofFile(strings.Join(s.Warnings, "\n")) != "" {
		t.Errorf("got %+v", s)
	}
}

// TestCheckFaults: every fault is one line that begins with its place, from the
// loader and from the planner alike.
func TestCheckFaults(t *testing.T) {
	tests := map[string]struct {
		edit *strings.Replacer
		want []string // how the lines begin, after the file
	}{
		"loader": {strings.NewReplacer("dst_port: 443", "dst_port: 70000", "dscp: 11", "dscp: 64"),
			[]string{":10: groups.other.dscp: ", ":12: targets.web.dst_port: "}},
		"planner": {strings.NewReplacer("nb_packets: 20", "nb_packets: 200000"),
			[]string{": safety.max_pps: the plan asks for 40002 probes/s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := write(t, "netprobe.yaml", tt.edit.Replace(valid))
			got := call(t, "check", file)
			lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
			if got.code != exitcode.Config || got.stdout != "" || len(lines) < len(tt.want) {
				t.Fatalf("got %+v", got)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], file+want) {
					t.Errorf("line %d: %q does not begin with %q", i+1, lines[i], file+want)
				}
			}
		})
	}
}

// TestCheckWarns: a warning is no fault.
func TestCheckWarns(t *testing.T) {
	file := write(t, "netprobe.yaml", strings.Replace(valid, "dst_port: 443,", "dst_port: 443, explicit_groups: {exclude_from: [nobody]},", 1))
	got := call(t, "check", file)
	if said := ofFile(got.stderr); got.code != 0 || !strings.HasPrefix(said, "warning: "+file+":12: ") || strings.Count(said, "\n") != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestCheckUnreadable(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	tests := map[string][]string{
		"missing":   {"check", "missing.yaml"},
		"directory": {"check", dir},
		"empty":     {"check", write(t, "empty.yaml", "")},
		"settings":  {"check", write(t, "netprobe.yaml", valid), "--settings", "missing.yaml"},
	}
	if _, err := os.Stat("/etc/netprobe-xdp/netprobe.yaml"); err != nil {
		tests["none"] = []string{"check"}
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, args...)
			if got.code != exitcode.NoInput || got.stdout != "" || !strings.HasPrefix(got.stderr, "netprobe-xdp: ") || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestCheckFaultsJSON: what is wrong is there for a program too, field by field.
func TestCheckFaultsJSON(t *testing.T) {
	file := write(t, "netprobe.yaml", strings.Replace(valid, "dst_port: 443", "dst_port: 80800", 1))
	got := call(t, "check", "-o", "json", file)
	var out struct{ Faults []fault }
	if err := json.Unmarshal([]byte(got.stdout), &out); err != nil || got.code != exitcode.Config || len(out.Faults) != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	f := out.Faults[0]
	if line := fmt.Sprintf("%s:%d: %s: %s; %s\n", f.File, f.Line, f.Key, f.Read, f.Allowed); f.Key != "targets.web.dst_port" || line != ofFile(got.stderr) {
		t.Errorf("%+v\n%s", f, got.stderr)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// outcome is what one command line did.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs one command line in this process.
func call(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestBadUsage(t *testing.T) {
	tests := []struct {
		args []string
		want string // the only line on stderr, after "netprobe-xdp: "
	}{
		{nil, "no command given; see netprobe-xdp --help"},
		{[]string{"versoin"}, `unknown command "versoin", did you mean version?; see netprobe-xdp --help`},
		{[]string{"frobnicate", "x"}, `unknown command "frobnicate"; see netprobe-xdp --help`},
		{[]string{"--frob"}, "unknown flag: --frob; see netprobe-xdp --help"},
		{[]string{"help", "frobnicate"}, `unknown command "frobnicate"; see netprobe-xdp --help`},
		{[]string{"help", "ctl", "statos"}, `unknown command "statos", did you mean status?; see netprobe-xdp ctl --help`},
		{[]string{"version", "x"}, `unexpected argument "x"; version takes no argument; see netprobe-xdp version --help`},
		{[]string{"version", "-o", "xml"}, `--output: read "xml"; allowed: text, json; see netprobe-xdp version --help`},
		{[]string{"ctl", "add", "x", "--lifetime", "5"}, `--lifetime: read "5"; allowed: a time with its unit such as 500ms, 10s or 2h; see netprobe-xdp ctl add --help`},
		{[]string{"ctl", "add", "x", "--packets", "99999999999999999999"}, `--packets: read "99999999999999999999"; allowed: a whole number, and not so large a one; see netprobe-xdp ctl add --help`},
		{[]string{"ctl", "add", "x", "--label", "x"}, `--label: read "x"; allowed: NAME=VALUE; see netprobe-xdp ctl add --help`},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := call(t, tt.args...)
			if want := (outcome{exitcode.Usage, "", "netprobe-xdp: " + tt.want + "\n"}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestHelp: every command explains itself on stdout, and the root names every
// exit code.
func TestHelp(t *testing.T) {
	root := call(t, "--help")
	for _, want := range []string{"\n  0   ", "\n  1   ", "\n  64  ", "\n  65  ", "\n  66  ", "\n  69  ", "\n  77  ",
		"CAP_NET_ADMIN", "NETPROBE_GLOBAL__PROMETHEUS_PORT", "PROM_USER", "Examples:"} {
		if !strings.Contains(root.stdout, want) {
			t.Errorf("--help lacks %q", want)
		}
	}
	if got, want := call(t, "help", "ctl", "add"), call(t, "ctl", "add", "--help"); got != want || got.code != 0 {
		t.Errorf("help ctl add: %+v", got)
	}
	for _, cmd := range newRoot().Commands() {
		got := call(t, cmd.Name(), "--help")
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Usage:\n  netprobe-xdp "+cmd.Name()) {
			t.Errorf("%s --help: code %d, stderr %q, stdout:\n%s", cmd.Name(), got.code, got.stderr, got.stdout)
		}
	}
}

func TestVersion(t *testing.T) {
	text := call(t, "version")
	if text.code != 0 || !strings.HasPrefix(text.stdout, "netprobe-xdp "+version+" (revision ") || !strings.Contains(text.stdout, runtime.Version()) {
		t.Errorf("version: %+v", text)
	}
	var b buildInfo
	if err := json.Unmarshal([]byte(call(t, "version", "-o", "json").stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version != version || b.Go != runtime.Version() || b.Revision == "" {
		t.Errorf("version -o json: %+v", b)
	}
}

// TestInterrupted: a command that is ended before it has a result says nothing,
// and is no success.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"check", "--iface", "lo"}, &stdout, &stderr); code != exitcode.Interrupted || stdout.Len()+stderr.Len() > 0 {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

// TestUnwritableOutput: what could not be printed is no success.
func TestUnwritableOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs /dev/full: %v", err)
	}
	defer full.Close()
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"version"}, full, &stderr); code != exitcode.Runtime || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("code %d, stderr %q", code, stderr.String())
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// TestProbe: each way to end has fping's exit code, each format can be read, and a
// pipe gets no progress bar.
func TestProbe(t *testing.T) {
	a, _ := pair(t)
	hosts := write(t, "hosts.txt", "192.0.2.2 # the other end\n\ntcp://192.0.2.2:81\n")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string // on stdout, or else on stderr
	}{
		"answered":      {[]string{"-c", "2", "-i", "10ms", "192.0.2.2"}, exitcode.OK, "192.0.2.2: seq=1 echo_reply ttl=64 time="},
		"file":          {[]string{"-c", "1", "-q", "-f", hosts}, exitcode.OK, "2 addresses: 2 answered, 0 did not"},
		"prefix, alive": {[]string{"-c", "1", "--alive", "192.0.2.2/31"}, exitcode.ProbeSilent, "192.0.2.2\n"},
		"no route":      {[]string{"-c", "1", "203.0.113.1"}, exitcode.ProbeSilent, "not sent: no_route"},
		"silent, quiet": {[]string{"-c", "1", "-q", "192.0.2.99"}, exitcode.ProbeSilent, "192.0.2.99: lost: 1 no_neighbour"},
		"no name":       {[]string{"-c", "1", "192.0.2.2", "nowhere.invalid"}, exitcode.ProbeNotFound, "nowhere.invalid"},
		"no target":     {nil, exitcode.ProbeUsage, "nothing to probe"},
		"bad flag":      {[]string{"--nonsense", "192.0.2.2"}, exitcode.ProbeUsage, "nonsense"},
		"bad spec":      {[]string{"tcp://192.0.2.2"}, exitcode.ProbeUsage, "has no port"},
		"refused range": {[]string{"127.0.0.1"}, exitcode.ProbeUsage, "carried out: 127.0.0.1: 127.0.0.1 is in 127.0.0.0/8 (loopback, RFC 1122), which is refused unless safety.allow_ranges covers it; --allow-range does"},
		"too few":       {[]string{"-c", "0", "192.0.2.2"}, exitcode.ProbeUsage, "is not: --count: read 0; allowed: 1 to"},
		"too long":      {[]string{"-W", "2h", "192.0.2.2"}, exitcode.ProbeUsage, "is not: --timeout: read 7200 s; allowed: 0.001 to 60 s"},
		"of no size":    {[]string{"--size", "-1", "192.0.2.2"}, exitcode.ProbeUsage, "is not: --size: read -1"},
		"too wide":      {[]string{"10.0.0.0/8"}, exitcode.ProbeUsage, "is not: targets: they are 16777216 addresses; allowed:"},
		"over the cap":  {[]string{"-c", "1", "192.0.2.0/24", "--rate", "200k"}, exitcode.ProbeUsage, "--allow-rate"},
		"into a prefix": {[]string{"-c", "1", "192.0.2.0/24", "--rate", "10k"}, exitcode.ProbeUsage, "carried out: --rate: 10000 probes/s are asked for; safety.max_prefix_pps is 2000, "},
		"no time":       {[]string{"-W", "0s", "192.0.2.2"}, exitcode.ProbeUsage, "--timeout: read 0s; allowed: 1ms to 1m0s"},
		"two lists":     {[]string{"--alive", "-o", "json", "192.0.2.2"}, exitcode.ProbeUsage, "leave one of them out"},
		"no family":     {[]string{"-4", "-6", "192.0.2.2"}, exitcode.ProbeUsage, "exclude each other"},
		"a folder":      {[]string{"-f", "."}, exitcode.ProbeSystem, "is a folder"},
		"no file":       {[]string{"-f", "missing.txt"}, exitcode.ProbeSystem, "missing.txt"},
		"no interface":  {[]string{"--iface", "missing0", "192.0.2.2"}, exitcode.ProbeSystem, "missing0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, append([]string{"probe", "--iface", a.Name, "--netns", a.Host.Netns}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.want) || strings.Contains(got.stderr, "\r") {
				t.Errorf("got %+v\nwant code %d and %q", got, tt.code, tt.want)
			}
		})
	}
	here := []string{"probe", "--iface", a.Name, "--netns", a.Host.Netns, "-c", "2", "-i", "5ms", "192.0.2.2", "-o"}
	var doc struct {
		Total *api.Summary `json:"total"`
	}
	if got := call(t, append(here, "json")...); json.Unmarshal([]byte(got.stdout), &doc) != nil || doc.Total == nil || doc.Total.Answered != 2 {
		t.Errorf("json: %+v", got)
	}
	got := call(t, append(here, "jsonl")...)
	last := api.ProbeEvent{}
	for line := range strings.Lines(got.stdout) {
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Errorf("jsonl: %q: %v", line, err)
		}
	}
	if last.Kind != api.ProbeDone || last.Summary == nil || last.Summary.Sent != 2 {
		t.Errorf("jsonl: %+v", got)
	}
	got = call(t, append(here, "csv")...)
	if rows, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll(); err != nil || len(rows) != 2 || rows[1][2] != "2" || rows[1][3] != "2" {
		t.Errorf("csv: %v, %+v", err, got)
	}
}

// TestProbeStandardInput: targets may come from a pipe.
func TestProbeStandardInput(t *testing.T) {
	a, _ := pair(t)
	for text, code := range map[string]int{"# two\n192.0.2.2\nicmp://192.0.2.2\n": exitcode.OK, "": exitcode.ProbeUsage, "tcp://192.0.2.2:x\n": exitcode.ProbeUsage} {
		cmd := program(t, "probe", "--iface", a.Name, "--netns", a.Host.Netns, "-c", "1", "-q", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || code == exitcode.OK && !strings.Contains(string(out), "2 addresses: 2 answered") {
			t.Errorf("%q: %v, %s", text, err, out)
		}
	}
}

// TestProbeInterrupted: Ctrl-C ends it with the summary of what is known.
func TestProbeInterrupted(t *testing.T) {
	a, _ := pair(t)
	r := start(t, "probe", "--iface", a.Name, "--netns", a.Host.Netns, "-c", "1000", "-i", "50ms", "192.0.2.2")
	r.waitFor("seq=3 ")
	code := r.end(os.Interrupt)
	if seen := r.seen.String(); code != exitcode.OK || !regexp.MustCompile(`(?m)^192\.0\.2\.2 +192\.0\.2\.2 +\d+ +\d+ +0 +0% `).MatchString(seen) {
		t.Errorf("code %d\n%s", code, seen)
	}
}

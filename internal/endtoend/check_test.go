// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
)

// TestCheckAsRun: for every invalid configuration that the project keeps, check
// and run say the same, in the words kept beside it, and with the same code.
func TestCheckAsRun(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	dir, err := filepath.Abs("../config/testdata/invalid")
	if err != nil {
		t.Fatal(err)
	}
	wants, err := filepath.Glob(filepath.Join(dir, "*.want"))
	if err != nil || len(wants) == 0 {
		t.Fatalf("no invalid configurations in %s: %v", dir, err)
	}
	for _, want := range wants {
		base := strings.TrimSuffix(want, ".want")
		t.Run(filepath.Base(base), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			var config, settings string
			w := place{host: a.Host, dir: dir}
			files, err := filepath.Glob(base + ".*")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				switch name := filepath.Base(f); {
				case f == want:
				case f == base+".settings.yaml":
					settings = name
				case f == base+".env":
					env, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					w.env = strings.Split(strings.TrimSuffix(string(env), "\n"), "\n")
				default:
					config = name
				}
			}
			var with []string
			if settings != "" {
				with = []string{"--settings", settings}
			}
			check := w.run(t, append([]string{"check", config}, with...)...)
			run := w.run(t, append([]string{"run", "--iface", a.Name, "--config", config}, with...)...)
			same(t, check, run, config, settings)
			// What is no fault of a line begins with the program's name.
			if diff := cmp.Diff(string(text), strings.ReplaceAll(check.stderr, "netprobe-xdp: ", "")); diff != "" {
				t.Errorf("kept (-), said (+):\n%s", diff)
			}
			code := exitcode.Config
			if strings.HasPrefix(check.stderr, "netprobe-xdp: ") {
				code = exitcode.NoInput
			}
			if check.code != code {
				t.Errorf("exit code %d, want %d", check.code, code)
			}
		})
	}
}

// same checks that check and run ended alike, run's log aside.
func same(t *testing.T, check, run outcome, places ...string) {
	t.Helper()
	if check.code != run.code || check.stdout != "" || run.stdout != "" {
		t.Errorf("check: exit code %d, stdout %q; run: %d, %q", check.code, check.stdout, run.code, run.stdout)
	}
	said := check.errorLines(t, places...)
	if diff := cmp.Diff(said, run.errorLines(t, places...)); diff != "" || len(said) == 0 || strings.Join(said, "\n")+"\n" != check.stderr {
		t.Errorf("check says %q; run's difference:\n%s", check.stderr, diff)
	}
}

// TestCheckAsRunPlan: the same for what is wrong with the plan, and for
// warnings, which stop neither.
func TestCheckAsRunPlan(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	for name, lines := range map[string][]string{
		"interval too short": {`web: {type: ICMPping, destination: 192.0.2.2, nb_packets: 30}`, `dns: {type: ICMPping, destination: 192.0.2.3, nb_packets: 31}`},
		"cap":                {`web: {type: ICMPping, destination: 192.0.2.2, nb_packets: 3000}`},
		"range":              {`web: {type: ICMPping, destination: 127.0.0.1}`, `six: {type: ICMPping, destination: "fe80::1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			config := file(t, "netprobe.yaml", global(usual, "interval_packets: 0.05")+groups+targets(lines...))
			check := place{}.run(t, "check", config)
			run := place{host: a.Host}.run(t, "run", "--iface", a.Name, "--config", config)
			if same(t, check, run, config); check.code != exitcode.Config {
				t.Errorf("exit code %d", check.code)
			}
		})
	}
	t.Run("warnings", func(t *testing.T) {
		config := file(t, "netprobe.yaml", global(usual)+groups+targets(
			`web: {type: TCPsyn, destination: 192.0.2.2, dst_port: 80, nb_packets: 100, explicit_groups: {exclude_from: [nobody]}}`,
			`self: {type: ICMPping, destination: 192.0.2.1}`))
		check := place{host: a.Host}.run(t, "check", config, "--iface", a.Name)
		if check.code != exitcode.OK {
			t.Fatalf("check: %+v", check)
		}
		p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
		p.waitFor("msg=probing")
		warnings := 0
		for line := range strings.Lines(check.stderr) {
			said, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "warning: "+config+":")
			if !ok {
				t.Errorf("check says %q", line)
			}
			if n := strings.Count(p.stderr.String(), said); n != 1 {
				t.Errorf("run says %d times %q", n, said)
			}
			warnings++
		}
		if warnings < 4 { // the group, too few ports, those that are not reserved, the host's own address
			t.Errorf("%d warnings", warnings)
		}
		if !strings.Contains(check.stderr, "sysctl -w net.ipv4.ip_local_reserved_ports=") {
			t.Error("the ports are not reserved, and no line says how")
		}
	})
}

// TestCheckInterface: the report says what decides whether a run can start, to
// people and to programs, and who holds the slot.
func TestCheckInterface(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	config := file(t, "netprobe.yaml", pings(usual))
	for name, w := range map[string]place{"inside": {host: a.Host}, "from outside": {}} {
		t.Run(name, func(t *testing.T) {
			args := []string{"check", config, "--iface", a.Name}
			if w.host == nil {
				args = append(args, "--netns", a.Host.Netns)
			}
			got := w.run(t, args...)
			for _, want := range []string{config + ": 2 targets, 1 group, 20 probes/s", " veth\n", " 1500\n", "1 receive, 1 transmit", "192.0.2.1/24, 2001:db8::1/64", " free\n", "VLAN stripping", "CAP_NET_ADMIN", "locked memory"} {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("the report lacks %q", want)
				}
			}
			if got.code != exitcode.OK || got.stderr != "" {
				t.Errorf("got %+v", got)
			}
		})
	}
	p := place{host: a.Host}.start(t, "run", "--iface", a.Name, "--config", config)
	p.waitFor("msg=probing")
	got := place{host: a.Host}.run(t, "check", "--iface", a.Name, "-o", "json")
	var report struct{ Interfaces []netdev.Report }
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || len(report.Interfaces) != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	r := report.Interfaces[0]
	if got.code != exitcode.Unavailable || r.XDP == nil || len(r.XDP.Processes) != 1 || r.XDP.Processes[0].PID != p.pid() || len(r.Problems) != 1 {
		t.Errorf("got %+v", got)
	}
}

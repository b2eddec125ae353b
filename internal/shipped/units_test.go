// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// units are the systemd units that configs/ has.
var units = []string{"netprobe-xdp.service", "netprobe-xdp@.service"}

// exposure is the most that systemd-analyze may find exposed, of 100: what is
// left is the network, which is the program's work.
const exposure = "25"

// TestUnitsAnalyze: systemd finds nothing wrong in the units and little
// exposed.
func TestUnitsAnalyze(t *testing.T) {
	t.Parallel()
	analyze := lab.Tool(t, "systemd-analyze", "systemd")
	dir := t.TempDir()
	for _, name := range units {
		// verify wants the program to be there, and an instance of a template.
		text := strings.ReplaceAll(string(read(t, "systemd", name)), "/usr/bin/netprobe-xdp", binary)
		path := write(t, dir, strings.Replace(name, "@.", "@eth0.", 1), []byte(text))
		for _, args := range [][]string{
			{"verify", "--man=no", path},
			{"security", "--offline=true", "--no-pager", "--threshold=" + exposure, path},
		} {
			cmd := exec.Command(analyze, args...)
			out, err := cmd.CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
	}
}

// TestUnits: the units take what the program needs and no more, and are the
// same but for what the interface's name changes.
func TestUnits(t *testing.T) {
	var both [2]map[string][]string
	for i, name := range units {
		both[i] = map[string][]string{}
		section := ""
		for line := range strings.Lines(string(read(t, "systemd", name))) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = line
			}
			if key, value, ok := strings.Cut(line, "="); ok && section != "" && !strings.HasPrefix(line, "#") {
				both[i][section+key] = append(both[i][section+key], value)
			}
		}
		const caps = "CAP_NET_ADMIN CAP_NET_RAW CAP_BPF CAP_PERFMON CAP_IPC_LOCK"
		for key, want := range map[string]string{
			"Type": "notify", "WatchdogSec": "10", "ProtectSystem": "strict", "DynamicUser": "yes", "NoNewPrivileges": "yes",
			"CapabilityBoundingSet": caps, "AmbientCapabilities": caps,
			"RestrictAddressFamilies": "AF_XDP AF_NETLINK AF_INET AF_INET6 AF_UNIX AF_PACKET",
		} {
			if diff := cmp.Diff([]string{want}, both[i]["[Service]"+key]); diff != "" {
				t.Errorf("%s: %s:\n%s", name, key, diff)
			}
		}
	}
	for _, key := range []string{"[Unit]Description", "[Service]EnvironmentFile", "[Service]ExecStart", "[Service]RuntimeDirectory", "[Service]Environment"} {
		if cmp.Equal(both[0][key], both[1][key]) {
			t.Errorf("%s is the same in both: %q", key, both[0][key])
		}
		delete(both[0], key)
		delete(both[1], key)
	}
	if diff := cmp.Diff(both[0], both[1]); diff != "" {
		t.Errorf("%s (-), %s (+):\n%s", units[0], units[1], diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// guides are the pages whose commands are run, in this order, one after another on
// the network that the first of them makes.
var guides = []string{"first-hour", "add-targets", "find-a-bad-path", "explain-a-loss", "busy-interface", "xdp-slot-taken"}

// block is a fenced block of a page.
var block = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// files of the first page, by the language of their block.
var guideFiles = map[string]string{"yaml": "netprobe.yaml", "nft": "drop.nft"}

// TestGuides runs the commands of the guides as they stand there: in shorter
// rounds, with names and ports of its own, and without Prometheus.
func TestGuides(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]string{"bash": "bash", "curl": "curl", "ip": "iproute2", "nft": "nftables", "python3": "python3"} {
		lab.Tool(t, name, of)
	}
	dir := t.TempDir()
	name := fmt.Sprintf("npxguide%d-", os.Getpid())
	replace := strings.NewReplacer("lab-", name, "127.0.0.1:8000", "127.0.0.1:8731", "prometheus_port: 8000", "prometheus_port: 8731",
		"/run/netprobe-xdp/api.sock", dir+"/api.sock")
	const page = "curl -sf http://127.0.0.1:8731/"
	wait := fmt.Sprintf(`await() { for i in $(seq %d); do if eval "$1"; then return; fi; command sleep 0.5; done; false; }`, int(patience.Seconds())*2)
	script := "set -eu\ntrap 'kill $(jobs -p)' EXIT\n" + wait + "\nsleep() { await '" + page + "-/ready >/dev/null'; }\nset -x\n"
	for _, guide := range guides {
		text, err := os.ReadFile("../../docs/" + guide + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			body := replace.Replace(b[2])
			switch file := guideFiles[b[1]]; {
			case file != "" && guide == guides[0]:
				if err := os.WriteFile(filepath.Join(dir, file), []byte(body), 0o644); err != nil {
					t.Fatal(err)
				}
			case b[1] == "sh" && strings.Contains(body, "jobs -p"): // cleaning up: below
			case b[1] == "sh" && strings.Contains(body, "nft -f"):
				script += strings.SplitAfter(body, "\n")[0] + "await '" + page + "metrics | grep -q ^netprobe_lost_total'\n"
			case b[1] == "sh" && !strings.Contains(body, "promtool") && !strings.Contains(body, ":9090"):
				script += body
			}
		}
	}
	t.Cleanup(func() {
		for _, host := range []string{"probe", "web"} {
			if out, err := exec.Command("ip", "netns", "del", name+host).CombinedOutput(); err != nil {
				t.Errorf("ip netns del %s: %v: %s", name+host, err, out)
			}
		}
	})
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"),
		"NETPROBE_GLOBAL__INTERVAL=1", "NETPROBE_API__SOCKET="+dir+"/api.sock", "NETPROBE_API_SOCKET="+dir+"/api.sock")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = patience // what it began has its output too
	var out lab.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // the death signal comes when the thread that started the child ends
	err := cmd.Run()
	runtime.UnlockOSThread()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it began, if it failed
	if err != nil {
		t.Fatalf("%v: %s\n%s", cmd, err, out.String())
	}
	for _, want := range []string{
		`XDP slot +free`, // check
		`warning: netprobe\.yaml:9: groups: net\.ipv4\.ip_local_reserved_ports`,
		`netprobe\.yaml: 2 targets, 1 group,`,
		`msg=probing .*interfaces=eth0 targets=2`,
		`(?m)^ready$`,
		`(?m)^tcpsyn_loss_ratio\{probe_name="lab",destination="web",address_family="ipv4",state="None",group="standard"\} 0$`,
		`(?m)^reloaded: 1 added, 0 changed, 0 removed, 2 unchanged$`,
		`(?m)^added: nobody$`,
		`netprobe\.yaml: 4 targets, 1 group,`,
		`(?m)^65003 sent \d+ answered \d+$`,
		`netprobe_lost_total\{probe_name="lab",destination="web",.*cause="timeout"\}`,
		`(?m)^web +192\.0\.2\.2 `,
		`prog/xdp id \d+ name steer`,
		`driver +macvlan`,
		`(?m)^namespace +npxguide\d+-probe$`,               // ctl status
		`(?m)^running .*healthy, ready$`,                   // ctl status
		`(?m)^removed tmp$`,                                // ctl remove
		`(?m)^tcp://192\.0\.2\.2:80 +192\.0\.2\.2 +3 +3 `,  // probe
		`(?m)^standard +192\.0\.2\.1 65003 +192\.0\.2\.2 `, // ctl target
		`begun +192\.0\.2\.2, 20 probes`,                   // ctl debug
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// localConfig probes the other end of pair's link and serves on port.
func localConfig(t *testing.T, port string) string {
	t.Helper()
	return write(t, "netprobe.yaml", `global: {probe_name: test, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: `+port+`, dns_update_interval: 0}
groups: {g: {}}
targets: {peer: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.2}}
`)
}

// TestRun: the program probes inside a namespace, serves the figures outside,
// and ends with 0 at SIGTERM and SIGINT.
func TestRun(t *testing.T) {
	a, _ := pair(t)
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		r := start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", localConfig(t, freePort(t)))
		url := strings.TrimPrefix(r.waitFor(`metrics=http://\S+`), "metrics=")
		waitForPage(t, url, `(?m)^icmp_loss_ratio\{.*destination="peer".*\} 0$`)
		if code := r.end(signal); code != 0 {
			t.Errorf("%v: code %d\n%s", signal, code, r.seen.String())
		}
	}
}

// TestRunWithoutConfiguration: it pings the default gateway, says so, and takes
// the environment into account.
func TestRunWithoutConfiguration(t *testing.T) {
	a, _ := pair(t)
	a.Host.SetRoute(lab.Default4, lab.Hop{Via: "192.0.2.2"})
	cmd := program(t, "run", "--iface", a.Name, "--netns", a.Host.Netns)
	port := freePort(t)
	cmd.Env = append(cmd.Env, "NETPROBE_GLOBAL__PROMETHEUS_PORT="+port, "NETPROBE_GLOBAL__INTERVAL=1")
	r := startCommand(t, cmd, func(f func() error) error { return f() })
	r.waitFor(`no configuration file .*gateway-ipv4 \(192\.0\.2\.2\)`)
	url := r.waitFor(`http://127\.0\.0\.1:` + port + `/metrics`)
	waitForPage(t, url, `(?m)^icmp_loss_ratio\{.*destination="gateway-ipv4".*\} 0$`)
	if code := r.end(syscall.SIGTERM); code != 0 {
		t.Errorf("code %d\n%s", code, r.seen.String())
	}
}

// TestRunCapabilities: the capabilities that README names are enough, where the
// command is started in the interface's namespace.
func TestRunCapabilities(t *testing.T) {
	a, _ := pair(t)
	cmd := program(t, "run", "--iface", a.Name)
	asNobody(t, cmd)
	if err := os.Rename(localConfig(t, freePort(t)), cmd.Dir+"/netprobe.yaml"); err != nil { // found without --config
		t.Fatal(err)
	}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_IPC_LOCK}
	r := startCommand(t, cmd, a.Host.Do)
	r.waitFor("msg=probing")
	if code := r.end(syscall.SIGTERM); code != 0 {
		t.Errorf("code %d\n%s", code, r.seen.String())
	}
}

// TestRunTwice: the second program on an interface is told who holds it, and
// changes nothing.
func TestRunTwice(t *testing.T) {
	a, _ := pair(t)
	first := start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", localConfig(t, freePort(t)))
	first.waitFor("msg=probing")
	got := call(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", localConfig(t, freePort(t)))
	if got.code != exitcode.Unavailable || !strings.Contains(got.stderr, fmt.Sprintf("process %d (", first.cmd.Process.Pid)) {
		t.Errorf("second run: %+v", got)
	}
	report := call(t, "check", "--iface", a.Name, "--netns", a.Host.Netns)
	if report.code != exitcode.Unavailable || !strings.Contains(report.stdout, fmt.Sprintf("process %d (", first.cmd.Process.Pid)) {
		t.Errorf("check: %+v", report)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.cmd.Wait()
	third := start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", localConfig(t, freePort(t)))
	third.waitFor("msg=probing")
	if code := third.end(syscall.SIGTERM); code != 0 {
		t.Errorf("after kill -9: code %d\n%s", code, third.seen.String())
	}
}

// lastLines returns stderr without the log.
func lastLines(stderr string) []string {
	var lines []string
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "time=") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestRunRefuses: each mistake is one clear line with its exit code.
func TestRunRefuses(t *testing.T) {
	a, _ := pair(t)
	here := []string{"--iface", a.Name, "--netns", a.Host.Netns}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, taken, _ := net.SplitHostPort(busy.Addr().String())
	config := localConfig(t, freePort(t))
	reversed := write(t, "reversed.yaml", strings.Replace(valid, "src_port_z: 65099", "src_port_z: 1", 1))
	unrouted := write(t, "unrouted.yaml", strings.NewReplacer("192.0.2.10", "198.51.100.1", "8000", freePort(t)).Replace(valid))

	tests := map[string]struct {
		args []string
		code int
		want string // in the only line
	}{
		"no interface":     {[]string{"--config", config}, exitcode.Usage, "--iface"},
		"missing":          {[]string{"--iface", "missing0", "--netns", a.Host.Netns}, exitcode.Unavailable, "missing0"},
		"loopback":         {[]string{"--iface", "lo", "--netns", a.Host.Netns}, exitcode.Unavailable, "loopback"},
		"mode":             {append(here, "--config", config, "--xdp-mode", "fast"), exitcode.Usage, "--xdp-mode: "},
		"bind":             {append(here, "--config", config, "--bind", "move"), exitcode.Usage, "--bind: "},
		"no file":          {append(here, "--config", "missing.yaml"), exitcode.NoInput, "missing.yaml"},
		"fault":            {append(here, "--config", reversed), exitcode.Config, reversed + ":9: groups.standard.src_port_z: "},
		"port in use":      {append(here, "--config", localConfig(t, taken)), exitcode.Unavailable, "prometheus_port"},
		"no route":         {append(here, "--config", unrouted), exitcode.Unavailable, "no target can be reached"},
		"nothing to probe": {here, exitcode.Unavailable, "nothing to probe"},
	}
	t.Chdir(t.TempDir())
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, append([]string{"run"}, tt.args...)...)
			lines := lastLines(got.stderr)
			if got.code != tt.code || got.stdout != "" || len(lines) != 1 || !strings.Contains(lines[0], tt.want) {
				t.Errorf("got %+v\nwant code %d, a line with %q", got, tt.code, tt.want)
			}
		})
	}
}

// TestUnprivileged: without privileges one line says what is missing.
func TestUnprivileged(t *testing.T) {
	a, b := pair(t)
	for name, tt := range map[string]struct {
		args []string
		on   *lab.End // whose namespace it is started in
		want string
	}{
		"demo":              {[]string{"demo"}, a, "needs root"},
		"run":               {[]string{"run", "--iface", a.Name}, a, "CAP_NET_RAW"},
		"another namespace": {[]string{"run", "--iface", a.Name, "--netns", a.Host.Netns}, b, "CAP_SYS_ADMIN"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := program(t, tt.args...)
			asNobody(t, cmd)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := tt.on.Host.Do(cmd.Run)
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != exitcode.NoPermission || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 ||
				!strings.HasPrefix(stderr.String(), "netprobe-xdp: ") || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("%v\nstdout: %s\nstderr: %s\nwant %q", err, stdout.String(), stderr.String(), tt.want)
			}
		})
	}
}

// TestDemo: the demo shows what it promises, serves it, and leaves nothing
// behind at Ctrl-C.
func TestDemo(t *testing.T) {
	needRoot(t)
	if got := call(t, "demo", "--duration", "-1s"); got.code != exitcode.Usage {
		t.Errorf("negative duration: %+v", got)
	}
	r := start(t, "demo")
	url := r.waitFor(`http://\S+/metrics$`)
	r.waitFor(`^closed-port-ipv4 +ipv4 +demo +[1-9]\d* +0 +0\.00 .*all answered`)
	r.waitFor(`^rejected-ipv6 +ipv6 +demo +[1-9]\d* +[1-9]\d* +100\.00 .*ICMP error`)
	if page := get(t, url); !strings.Contains(page, `tcpsyn_loss_ratio{probe_name="demo",destination="closed-port-ipv4"`) {
		t.Errorf("the page lacks the demo's targets:\n%s", page)
	}
	if code := r.end(os.Interrupt); code != 0 {
		t.Errorf("code %d\n%s", code, r.seen.String())
	}
	nothingLeft(t, r.cmd.Process.Pid)
}

// TestDemoCleansUp: the demo removes its network also when its terminal or its
// reader goes away.
func TestDemoCleansUp(t *testing.T) {
	needRoot(t)
	hangup := start(t, "demo")
	hangup.waitFor(`http://\S+/metrics$`)
	if code := hangup.end(syscall.SIGHUP); code != 0 {
		t.Errorf("hang-up: code %d\n%s", code, hangup.seen.String())
	}
	nothingLeft(t, hangup.cmd.Process.Pid)

	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	unread := program(t, "demo")
	unread.Stdout = w
	if err := unread.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	out.Close()
	if err := unread.Wait(); unread.ProcessState.ExitCode() != exitcode.Runtime {
		t.Errorf("without a reader: %v", err)
	}
	nothingLeft(t, unread.Process.Pid)
}

// nothingLeft fails when a namespace of the demo is still there.
func nothingLeft(t *testing.T, pid int) {
	t.Helper()
	left, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range left {
		if strings.Contains(ns.Name(), fmt.Sprintf("demo%d-", pid)) {
			t.Errorf("namespace %s is left behind", ns.Name())
		}
	}
}

// TestRunJSON: with --log-format json every line is an object, as long as the
// program runs; no line holds what may be secret in an address.
func TestRunJSON(t *testing.T) {
	a, _ := pair(t)
	settings := write(t, "settings.yaml", `push: {url: "http://127.0.0.1:1/push?token=hunter2", interval: 1s, headers: ["X-Key: hunter2"], user: me, password: hunter2}
inventories: {cmdb: {url: "http://127.0.0.1:1/list?key=hunter2", interval: 1s, bearer_token: hunter2}}
`)
	r := start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--log-format", "json", "--config", localConfig(t, freePort(t)), "--settings", settings)
	r.waitFor(`"msg":"inventory failed; its last good list stays"`)
	r.waitFor(`"msg":"push: a page is not delivered; it is kept and tried again"`)
	if code := r.end(syscall.SIGTERM); code != 0 {
		t.Errorf("code %d", code)
	}
	for line := range strings.Lines(r.seen.String()) {
		var l struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time == "" || l.Level == "" || l.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if text := r.seen.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "127.0.0.1:1/list") || !strings.Contains(text, `"msg":"probing ends"`) {
		t.Error(text)
	}
	if got := call(t, "run", "--log-format", "xml"); got.code != exitcode.Usage || !strings.Contains(got.stderr, "allowed: text, json") {
		t.Errorf("%+v", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// patience bounds every wait for something that happens in milliseconds on an
// idle machine.
const patience = 30 * time.Second

// running is a program under test.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	// seen is what it wrote to stdout and stderr until now, line by line.
	lines chan string
	seen  strings.Builder
}

// start runs the program until the test ends it.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startCommand(t, program(t, args...), func(f func() error) error { return f() })
}

// startCommand starts cmd by calling in, which may enter a namespace.
func startCommand(t *testing.T, cmd *exec.Cmd, in func(func() error) error) *running {
	t.Helper()
	r := &running{t: t, cmd: cmd, lines: make(chan string, 1000)}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = w, w
	if err := in(r.cmd.Start); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
		out.Close()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // fails when it has ended, which is well
		_ = r.cmd.Wait()
	})
	return r
}

// waitFor returns the first match of pattern in the output.
func (r *running) waitFor(pattern string) string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				r.t.Fatalf("ended before %q:\n%s", pattern, r.seen.String())
			}
			fmt.Fprintln(&r.seen, line)
			if m := re.FindString(line); m != "" {
				return m
			}
		case <-deadline:
			r.t.Fatalf("no %q in time:\n%s", pattern, r.seen.String())
		}
	}
}

// end sends a signal and returns the exit code.
func (r *running) end(s os.Signal) int {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		for line := range r.lines {
			fmt.Fprintln(&r.seen, line)
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		if err != nil {
			r.t.Fatal(err)
		}
		return 0
	case <-time.After(patience):
		r.t.Fatalf("did not end at %v:\n%s", s, r.seen.String())
		return -1
	}
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// localConfig probes the other end of pair's link and serves on port.
func localConfig(t *testing.T, port string) string {
	t.Helper()
	return write(t, "netprobe.yaml", `global: {probe_name: test, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: `+port+`, dns_update_interval: 0}
groups: {g: {}}
targets: {peer: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.2}}
`)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestRun: the program probes inside a namespace, serves the figures outside,
// and ends with 0 at SIGTERM and SIGINT.
func TestRun(t *testing.T) {
	a, _ := pair(t)
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		r := start(t, "run", "--iface", a.Name, "--netns", a.Host.Netns, "--config", localConfig(t, freePort(t)))
		url := strings.TrimPrefix(r.waitFor(`metrics=http://\S+`), "metrics=")
		want := regexp.MustCompile(`(?m)^icmp_loss_ratio\{.*destination="peer".*\} 0$`)
		deadline := time.Now().Add(patience)
		for !want.MatchString(get(t, url)) {
			if time.Now().After(deadline) {
				t.Fatalf("no loss ratio of 0 on the page:\n%s", get(t, url))
			}
			time.Sleep(100 * time.Millisecond)
		}
		if code := r.end(signal); code != 0 {
			t.Errorf("%v: code %d\n%s", signal, code, r.seen.String())
		}
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
	unrouted := write(t, "unrouted.yaml", strings.Replace(valid, "192.0.2.10", "198.51.100.1", 1))

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
	left, err := os.ReadDir("/run/netns")
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range left {
		if strings.Contains(ns.Name(), fmt.Sprintf("demo%d", r.cmd.Process.Pid)) {
			t.Errorf("namespace %s is left behind", ns.Name())
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and must not be skipped where CI=true")
	}
	t.Skip("needs root: run it with sudo")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
)

// pair returns two hosts joined by a link, 192.0.2.1 and 192.0.2.2.
func pair(t *testing.T) (a, b *lab.End) {
	l := lab.ForTest(t, "cmd")
	return l.Connect(l.Host("a"), l.Host("b"), lab.Link{Queues: 2, A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
}

func TestCheckInterface(t *testing.T) {
	a, b := pair(t)
	got := call(t, "check", "--iface", a.Name, "--netns", a.Host.Netns)
	for _, want := range []string{"driver ", " veth\n", "MTU ", "queues ", "192.0.2.1/24", "XDP slot ", " free\n", "VLAN stripping ", "CAP_NET_ADMIN ", "locked memory "} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("report lacks %q", want)
		}
	}
	if got.code != 0 || got.stderr != "" {
		t.Errorf("got %+v", got)
	}

	var out struct{ Interfaces []netdev.Report }
	got = call(t, "check", "--iface", a.Name, "--netns", a.Host.Netns, "-o", "json")
	if err := json.Unmarshal([]byte(got.stdout), &out); err != nil || len(out.Interfaces) != 1 || out.Interfaces[0].Info.Driver != "veth" {
		t.Errorf("%v: %+v", err, got)
	}

	b.SetUp(false)
	a.SetUp(false)
	got = call(t, "check", "--iface", a.Name, "--netns", a.Host.Netns)
	if want := "netprobe-xdp: " + a.Name + " is not ready for a run: "; got.code != exitcode.Unavailable || !strings.HasPrefix(got.stderr, want) || !strings.Contains(got.stdout, "is down") {
		t.Errorf("interface down: got %+v", got)
	}
}

// TestCheckSources: with an interface, the plan is judged against this host.
func TestCheckSources(t *testing.T) {
	a, _ := pair(t)
	tests := map[string]int{"192.0.2.1": 0, "192.0.2.99": exitcode.Config}
	for source, code := range tests {
		file := write(t, "netprobe.yaml", strings.Replace(valid, "src_port_a: 65000,", "src_port_a: 65000, src_ipv4: "+source+",", 1))
		got := call(t, "check", file, "--iface", a.Name, "--netns", a.Host.Netns)
		if got.code != code || (code != 0 && !strings.HasPrefix(got.stderr, file+":9: groups.standard.src_ipv4: ")) || !strings.Contains(got.stdout, "XDP slot") {
			t.Errorf("source %s: got %+v", source, got)
		}
		if got := call(t, "check", file); got.code != 0 {
			t.Errorf("source %s without an interface: got %+v", source, got)
		}
	}
}

// TestCheckReserved: the ports are those of the namespace that is probed from, and
// the line that is advised ends the warning.
func TestCheckReserved(t *testing.T) {
	a, _ := pair(t)
	a.Host.Sysctl("net.ipv4.ip_local_reserved_ports", "22,64000-64099,65001")
	file := write(t, "netprobe.yaml", valid)
	const key = "net.ipv4.ip_local_reserved_ports"
	for name, flags := range map[string][]string{
		"namespace": {"check", file, "--netns", a.Host.Netns},
		"interface": {"check", file, "--netns", a.Host.Netns, "--iface", a.Name},
	} {
		got := call(t, flags...)
		want := "warning: " + file + ":8: groups: " + key + " does not hold the source ports 65000,65002-65099: "
		advice := "sysctl -w " + key + "=22,64000-64099,65000-65099\n"
		if got.code != 0 || !strings.HasPrefix(got.stderr, want) || !strings.HasSuffix(got.stderr, advice) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	a.Host.Sysctl(key, "22,64000-64099,65000-65099")
	if got := call(t, "check", file, "--netns", a.Host.Netns); got.code != 0 || got.stderr != "" {
		t.Errorf("all are reserved: got %+v", got)
	}
	if got := call(t, "check", file, "--netns", "npx-no-such-namespace"); got.code != 0 || !strings.Contains(got.stderr, "cannot tell whether the source ports are reserved; open network namespace") {
		t.Errorf("no such namespace: got %+v", got)
	}
}

func TestMissingInterface(t *testing.T) {
	a, _ := pair(t)
	tests := map[string][]string{
		"interface": {"--iface", "missing0", "--netns", a.Host.Netns},
		"namespace": {"--iface", a.Name, "--netns", "npx-no-such-namespace"},
	}
	for name, flags := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, append([]string{"check"}, flags...)...)
			if got.code != exitcode.Unavailable || got.stdout != "" || !strings.HasPrefix(got.stderr, "netprobe-xdp: ") || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestCheckUnprivileged: without privileges the report is there, names what is
// missing, and the exit code says so.
func TestCheckUnprivileged(t *testing.T) {
	cmd := program(t, "check", "--iface", "lo")
	asNobody(t, cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitcode.NoPermission || !strings.Contains(stdout.String(), "missing CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("%v\nstdout: %s\nstderr: %s", err, stdout.String(), stderr.String())
	}
}

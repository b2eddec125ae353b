// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func newDemo(t *testing.T) *Demo {
	t.Helper()
	l := ForTest(t, "lab") // skips without root
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := NewDemo("127.0.0.1", 8000)
	t.Cleanup(func() {
		if err := d.Lab.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every target of the demo behaves for the Linux stack as it claims.
func TestDemoIsWhatItClaims(t *testing.T) {
	d := newDemo(t)
	for _, target := range d.Targets {
		hostport := net.JoinHostPort(target.addr, strconv.Itoa(int(target.port)))
		dial := func() error {
			return d.Prober.Do(func() error {
				dialer := net.Dialer{Timeout: 5 * time.Second}
				c, err := dialer.Dial("tcp", hostport)
				if err == nil {
					c.Close()
				}
				return err
			})
		}
		switch kind, _, _ := strings.Cut(target.Name, "-ipv"); kind {
		case "open-port", "lossy": // TCP itself mends the loss
			if err := dial(); err != nil {
				t.Errorf("%s: %v", target.Name, err)
			}
		case "closed-port":
			if err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v", target.Name, err)
			}
		case "rejected":
			if err := dial(); !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.EACCES) {
				t.Errorf("%s: %v", target.Name, err)
			}
		case "closed-udp":
			if err := d.Prober.Do(func() error { return askUDP(hostport) }); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v", target.Name, err)
			}
		case "ping":
			ping(t, d.Prober, target.addr, "10")
		case "nobody":
			if lost := pingLost(t, d.Prober, target.addr, 2); lost != 2 {
				t.Errorf("%s: %d of 2 lost", target.Name, lost)
			}
		default:
			t.Errorf("no test for target %s", target.Name)
		}
	}
	if c, err := d.Lossy.Counts(); err != nil || c.Seen == 0 {
		t.Errorf("the lossy host's counters: %+v, %v", c, err)
	}
	err := d.Prober.Do(func() error { _, err := net.InterfaceByName(d.Iface); return err })
	if err != nil {
		t.Errorf("the prober's interface: %v", err)
	}
}

func TestDemoConfig(t *testing.T) {
	d := &Demo{Targets: demoTargets()}
	text, err := d.config("127.0.0.1", 8001)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Global  map[string]any
		Groups  map[string]map[string]int
		Targets map[string]map[string]any
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got.Global["prometheus_port"] != 8001 || got.Global["prometheus_address"] != "127.0.0.1" {
		t.Errorf("global: %v", got.Global)
	}
	// What netprobify requires.
	for _, key := range []string{"probe_name", "interval", "nb_proc", "logging_level", "prometheus_port", "dns_update_interval"} {
		if _, ok := got.Global[key]; !ok {
			t.Errorf("global.%s is missing", key)
		}
	}
	if len(got.Targets) != len(d.Targets) || len(got.Targets) != 14 {
		t.Errorf("%d targets", len(got.Targets))
	}
	// Every four-tuple carries one TCP probe a round, so none waits for another.
	if g := got.Groups["demo"]; g["src_port_z"]-g["src_port_a"]+1 < demoProbes {
		t.Errorf("%d probes over ports %v", demoProbes, g)
	}
	for _, want := range d.Targets {
		g := got.Targets[want.Name]
		if g["destination"] != want.addr || g["type"] != want.kind || g["address_family"] != want.family {
			t.Errorf("target %s: %v", want.Name, g)
		}
		if _, has := g["dst_port"]; has != (want.kind != "ICMPping") {
			t.Errorf("target %s: dst_port of a %s: %v", want.Name, want.kind, g)
		}
	}
	if strings.Index(string(text), d.Targets[0].Name) > strings.Index(string(text), d.Targets[13].Name) {
		t.Error("the targets are out of order")
	}
}

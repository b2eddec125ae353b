// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// target is a target of a configuration. Its name is the beginning of the one
// that is probed: see inPhase.
type target struct {
	name    string
	kind    string
	addr    string
	port    uint16
	packets int
	size    int           // ip_payload_size; 0: none
	timeout time.Duration // 0: 1 s
	group   string        // "": all
	keys    map[string]any
}

// group is a group of a configuration.
type group struct {
	name string
	a, z uint16 // source ports
	dscp int
	keys map[string]any
}

// setup is what one run of the prober is to do. All targets begin their round
// at the same moment, and send a probe every gap; what is left of the interval
// nobody sends anything, so that both sides can be counted and compared.
type setup struct {
	on       *lab.Host
	hosts    []*lab.Host // that are probed
	ifaces   []string
	interval time.Duration // whole seconds
	gap      time.Duration
	groups   []group // none: ports 20000 to 20063
	targets  []target
	lead     time.Duration // from the start to the first round; 0: usualLead
	mode     string        // of XDP; "": auto
}

func (r *run) config(t *testing.T) map[string]any {
	groups, targets := map[string]any{}, map[string]any{}
	for _, g := range r.setup.groups {
		m := map[string]any{"src_port_a": g.a, "src_port_z": g.z, "dscp": g.dscp}
		for k, v := range g.keys {
			m[k] = v
		}
		groups[g.name] = m
	}
	for _, tg := range r.setup.targets {
		m := map[string]any{"type": tg.kind, "destination": tg.addr, "nb_packets": max(1, tg.packets)}
		if tg.port != 0 {
			m["dst_port"] = tg.port
		}
		if tg.size != 0 {
			m["ip_payload_size"] = tg.size
		}
		if tg.timeout != 0 {
			m["timeout"] = tg.timeout.Seconds()
		}
		if tg.group != "" {
			m["auto_register_to_groups"] = false
			m["explicit_groups"] = map[string]any{"register_to": []string{tg.group}}
		}
		for k, v := range tg.keys {
			m[k] = v
		}
		targets[r.names[tg.name]] = m
	}
	return map[string]any{
		"global": map[string]any{
			"probe_name": probeName, "interval": int(r.interval.Seconds()), "interval_packets": r.setup.gap.Seconds(),
			"nb_proc": 1, "logging_level": "INFO", "dns_update_interval": 0, "percentile": []int{50, 95},
			"prometheus_address": "127.0.0.1", "prometheus_port": freePort(t),
		},
		"groups": groups, "targets": targets,
	}
}

func write(t *testing.T, file string, content any) {
	t.Helper()
	b, err := yaml.Marshal(content)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// inPhase finds names for the targets with which their rounds begin at the
// same moment of the interval, or at most a hundredth of it later: the planner
// spreads targets over the interval by their names.
func inPhase(t *testing.T, s setup, phase time.Duration) map[string]string {
	t.Helper()
	cfg := &config.Config{
		Global: config.Global{ProbeName: probeName, Interval: s.interval},
		Groups: []config.Group{{Name: "g", SrcPortA: 1, SrcPortZ: 1}},
		Safety: config.Safety{MaxPPS: 1 << 30, MaxPrefixPPS: 1 << 30},
	}
	names := map[string]string{}
	for from := 0; len(names) < len(s.targets); from += 500 {
		cfg.Targets = nil
		for _, tg := range s.targets {
			for i := range 500 {
				cfg.Targets = append(cfg.Targets, config.Target{Name: fmt.Sprintf("%s.%d", tg.name, from+i), Type: "ICMPping",
					Destination: "192.0.2.1", Family: "ipv4", NbPackets: 1, Timeout: time.Second, Groups: []int{0}})
			}
		}
		p, err := plan.Build(cfg, plan.Inputs{})
		if err != nil {
			t.Fatal(err)
		}
		for i, pt := range p.Targets {
			if late := (pt.Phase - phase + s.interval) % s.interval; late < s.interval/100 {
				names[s.targets[i/500].name] = pt.Name
			}
		}
	}
	return names
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

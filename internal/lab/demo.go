// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// The demo's share of packets that the lossy host drops: 10 %.
const demoLost, demoOf = 1, 10

// demoProbes is how many probes go to a target in demoInterval seconds.
const (
	demoProbes   = 100
	demoInterval = 5
)

// Demo is the network of `netprobe-xdp demo`: a prober, a router and hosts
// behind it that answer in the ways that hosts do, over IPv4 and IPv6, all by
// the Linux stack. The goroutine that made it closes it.
//
//	prober ── router ─┬─ web      an open TCP port; answers pings
//	                  ├─ closed   every port closed
//	                  ├─ lossy    drops one packet in ten
//	                  └─ border ── hidden   border rejects
//
// and an address next to the prober that nobody has.
type Demo struct {
	Lab    *Lab
	Prober *Host
	Netns  string // the prober's namespace, for --netns
	Iface  string // the prober's interface, for --iface
	Config []byte // a netprobify configuration that probes all of it

	Targets []DemoTarget // in the order of the configuration
	Lossy   *Filter      // what the lossy host drops, and its counters
}

// DemoTarget says what is to be seen at a target of the demo.
type DemoTarget struct {
	Name   string // the target's name in the configuration
	Expect string // "0 % lost: RST+ACK from a closed port"

	kind, family, addr string
	port               uint16
}

// NewDemo builds the demo's network, with metrics to be served on
// address:port. Close the Lab in any case, also after an error.
func NewDemo(address string, port uint16) (*Demo, error) {
	d := &Demo{Lab: New(Options{Name: "demo"})}
	if err := d.build(); err != nil {
		return d, fmt.Errorf("building the demo's network: %w", err)
	}
	config, err := d.config(address, port)
	if err != nil {
		return d, fmt.Errorf("writing the demo's configuration: %w", err)
	}
	d.Config = config
	return d, nil
}

// demoNet is the addresses of one link of the demo: near is the side of the
// prober.
type demoNet struct {
	near4, far4 string // addresses
	near6, far6 string
	bits4       int
}

var (
	demoAccess = demoNet{"192.0.2.1", "192.0.2.254", "2001:db8::1", "2001:db8::fe", 24}
	demoWeb    = demoNet{"198.51.100.1", "198.51.100.10", "2001:db8:0:1::1", "2001:db8:0:1::10", 26}
	demoClosed = demoNet{"198.51.100.65", "198.51.100.70", "2001:db8:0:2::1", "2001:db8:0:2::10", 26}
	demoLossy  = demoNet{"198.51.100.129", "198.51.100.130", "2001:db8:0:3::1", "2001:db8:0:3::10", 26}
	demoBorder = demoNet{"198.51.100.193", "198.51.100.194", "2001:db8:0:4::1", "2001:db8:0:4::10", 26}
	demoHidden = demoNet{"203.0.113.1", "203.0.113.10", "2001:db8:0:5::1", "2001:db8:0:5::10", 24}
	demoNobody = demoNet{far4: "192.0.2.99", far6: "2001:db8::99"} // on the prober's own link
)

// join connects two hosts over n and makes near the gateway of far.
func (d *Demo) join(near, far *Host, n demoNet) (*End, *End) {
	a, b := d.Lab.Connect(near, far, Link{
		Queues: 2,
		A:      []string{fmt.Sprintf("%s/%d", n.near4, n.bits4), n.near6 + "/64"},
		B:      []string{fmt.Sprintf("%s/%d", n.far4, n.bits4), n.far6 + "/64"},
	})
	far.SetRoute(Default4, Hop{Via: n.near4})
	far.SetRoute(Default6, Hop{Via: n.near6})
	return a, b
}

func (d *Demo) build() error {
	l := d.Lab
	prober, router := l.Host("prober"), l.Router("router")
	// A reply that the kernel took for its own connection would disturb it.
	prober.Sysctl("net.ipv4.ip_local_reserved_ports", "65000-65099")
	up, _ := l.Connect(prober, router, Link{
		Queues: 2,
		A:      []string{fmt.Sprintf("%s/%d", demoAccess.near4, demoAccess.bits4), demoAccess.near6 + "/64"},
		B:      []string{fmt.Sprintf("%s/%d", demoAccess.far4, demoAccess.bits4), demoAccess.far6 + "/64"},
	})
	prober.SetRoute(Default4, Hop{Via: demoAccess.far4})
	prober.SetRoute(Default6, Hop{Via: demoAccess.far6})

	web, closed, lossy := l.Host("web"), l.Host("closed"), l.Host("lossy")
	border, hidden := l.Router("border"), l.Host("hidden")
	d.join(router, web, demoWeb)
	d.join(router, closed, demoClosed)
	d.join(router, lossy, demoLossy)
	d.join(router, border, demoBorder)
	d.join(border, hidden, demoHidden)
	router.SetRoute("203.0.113.0/24", Hop{Via: demoBorder.far4})
	router.SetRoute("2001:db8:0:5::/64", Hop{Via: demoBorder.far6})

	closed.UnlimitedICMP()
	border.UnlimitedICMP()
	d.Lossy = lossy.DropShare(Input, Match{Proto: TCP}, demoLost, demoOf)
	border.Reject(Forward, Match{}, AdminProhibited)
	if l.err != nil {
		return l.err
	}
	for _, h := range []struct {
		host *Host
		addr string
	}{
		{web, demoWeb.far4 + ":80"}, {web, "[" + demoWeb.far6 + "]:80"},
		{lossy, demoLossy.far4 + ":80"}, {lossy, "[" + demoLossy.far6 + "]:80"},
		{hidden, demoHidden.far4 + ":80"}, {hidden, "[" + demoHidden.far6 + "]:80"},
	} {
		if _, err := h.host.ListenTCP(h.addr, Discard); err != nil {
			return err
		}
	}
	d.Prober, d.Netns, d.Iface = prober, prober.Netns, up.Name
	d.Targets = demoTargets()
	return nil
}

func demoTargets() []DemoTarget {
	var all []DemoTarget
	for _, t := range []struct {
		name, kind string
		at         demoNet
		port       uint16
		expect     string
	}{
		{"open-port", "TCPsyn", demoWeb, 80, "0 % lost: SYN+ACK from an open port"},
		{"ping", "ICMPping", demoWeb, 0, "0 % lost: echo replies"},
		{"closed-port", "TCPsyn", demoClosed, 81, "0 % lost: RST+ACK from a closed port"},
		{"closed-udp", "UDPunreachable", demoClosed, 33434, "0 % lost: port unreachable"},
		{"lossy", "TCPsyn", demoLossy, 80, "about 10 % lost: the host drops that share"},
		{"rejected", "TCPsyn", demoHidden, 80, "100 % lost: a router rejects, administratively prohibited"},
		{"nobody", "ICMPping", demoNobody, 0, "100 % lost: nobody has the address, no_neighbour"},
	} {
		all = append(all,
			DemoTarget{t.name + "-ipv4", t.expect, t.kind, "ipv4", t.at.far4, t.port},
			DemoTarget{t.name + "-ipv6", t.expect, t.kind, "ipv6", t.at.far6, t.port})
	}
	return all
}

// config writes a configuration that netprobify loads as well.
func (d *Demo) config(address string, port uint16) ([]byte, error) {
	type global struct {
		ProbeName         string `yaml:"probe_name"`
		Interval          int    `yaml:"interval"`
		NbProc            int    `yaml:"nb_proc"`
		LoggingLevel      string `yaml:"logging_level"`
		PrometheusAddress string `yaml:"prometheus_address"`
		PrometheusPort    uint16 `yaml:"prometheus_port"`
		DNSUpdateInterval int    `yaml:"dns_update_interval"`
		Percentile        []int  `yaml:"percentile,flow"`
	}
	type group struct {
		SrcPortA int `yaml:"src_port_a"`
		SrcPortZ int `yaml:"src_port_z"`
	}
	type target struct {
		Description   string  `yaml:"description"`
		Type          string  `yaml:"type"`
		Destination   string  `yaml:"destination"`
		AddressFamily string  `yaml:"address_family"`
		DstPort       uint16  `yaml:"dst_port,omitempty"`
		NbPackets     int     `yaml:"nb_packets"`
		Timeout       float64 `yaml:"timeout"`
	}
	targets := &yaml.Node{Kind: yaml.MappingNode} // a map would lose the order
	for _, t := range d.Targets {
		var key, value yaml.Node
		if err := key.Encode(t.Name); err != nil {
			return nil, err
		}
		if err := value.Encode(target{
			Description: t.Expect, Type: t.kind, Destination: t.addr, AddressFamily: t.family,
			DstPort: t.port, NbPackets: demoProbes, Timeout: 1,
		}); err != nil {
			return nil, err
		}
		targets.Content = append(targets.Content, &key, &value)
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := enc.Encode(struct {
		Global  global           `yaml:"global"`
		Groups  map[string]group `yaml:"groups"`
		Targets *yaml.Node       `yaml:"targets"`
	}{
		global{
			ProbeName: "demo", Interval: demoInterval, NbProc: 1, LoggingLevel: "INFO",
			PrometheusAddress: address, PrometheusPort: port, Percentile: []int{95, 50},
		},
		map[string]group{"demo": {SrcPortA: 65000, SrcPortZ: 65099}},
		targets,
	})
	return out.Bytes(), err
}

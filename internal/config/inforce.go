// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// keyValue is a key of a section with its value in force.
type keyValue struct {
	key   string
	value any
}

// hiddenValue stands for a secret.
const hiddenValue = "(hidden)"

// keepInForce notes what is in force of every section, secrets left out.
func (d *decoder) keepInForce(k *koanf.Koanf) {
	d.cfg.inForce = map[string][]keyValue{}
	for _, s := range sections {
		for _, f := range s.fields {
			if f.unused {
				continue
			}
			v := k.Get(s.name + "." + f.name)
			switch text, isText := v.(string); {
			case f.hidden && fmt.Sprint(v) != "" && fmt.Sprint(v) != "[]":
				v = hiddenValue
			case isText && s.name == "push" && f.name == "url":
				if at := strings.IndexByte(text, '?'); at >= 0 {
					v = text[:at] + "?" + hiddenValue
				}
			}
			d.cfg.inForce[s.name] = append(d.cfg.inForce[s.name], keyValue{f.name, v})
		}
	}
}

// groupInForce and targetInForce are a group and a target as netprobify has them.
type groupInForce struct {
	SrcIPv4            string `yaml:"src_ipv4,omitempty"`
	SrcIPv6            string `yaml:"src_ipv6,omitempty"`
	SrcSubnetIPv4      string `yaml:"src_subnet_ipv4,omitempty"`
	SrcSubnetIPv6      string `yaml:"src_subnet_ipv6,omitempty"`
	SrcPortA           uint16 `yaml:"src_port_a"`
	SrcPortZ           uint16 `yaml:"src_port_z"`
	IPPayloadSize      int    `yaml:"ip_payload_size"`
	DSCP               uint8  `yaml:"dscp"`
	PermitAutoRegister bool   `yaml:"permit_target_auto_register"`
}

type targetInForce struct {
	Description       string              `yaml:"description,omitempty"`
	Type              string              `yaml:"type"`
	Destination       string              `yaml:"destination"`
	Family            string              `yaml:"address_family"`
	DontFragment      bool                `yaml:"dont_fragment"`
	IsSubnet          bool                `yaml:"is_subnet,omitempty"`
	DstPort           uint16              `yaml:"dst_port,omitempty"`
	NbPackets         int                 `yaml:"nb_packets"`
	IPPayloadSize     int                 `yaml:"ip_payload_size,omitempty"`
	Threshold         map[string]float64  `yaml:"threshold,omitempty,flow"`
	AlertLevel        string              `yaml:"alert_level,omitempty"`
	State             string              `yaml:"state,omitempty"`
	Timeout           float64             `yaml:"timeout"`
	DNSUpdateInterval int64               `yaml:"dns_update_interval"`
	Auto              bool                `yaml:"auto_register_to_groups"`
	Groups            map[string][]string `yaml:"explicit_groups,omitempty,flow"`
}

// InForce is the configuration as YAML, every default filled in and secrets left
// out: the sections, groups, and all targets, those of inventories included.
func (c *Config) InForce() (string, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	put := func(to *yaml.Node, name string, v any) error {
		var key, n yaml.Node
		key.SetString(name)
		if err := n.Encode(v); err != nil {
			return fmt.Errorf("write the configuration in force: %s: %w", name, err)
		}
		to.Content = append(to.Content, &key, &n)
		return nil
	}
	below := func(name string) *yaml.Node {
		var key yaml.Node
		key.SetString(name)
		n := &yaml.Node{Kind: yaml.MappingNode}
		root.Content = append(root.Content, &key, n)
		return n
	}
	for _, s := range sections {
		to := below(s.name)
		for _, kv := range c.inForce[s.name] {
			v := kv.value
			if d, ok := v.(time.Duration); ok && s.ours {
				v = d.String()
			} else if ok {
				v = d.Seconds() // as netprobify has it
			}
			if err := put(to, kv.key, v); err != nil {
				return "", err
			}
		}
	}
	groups := below("groups")
	for i := range c.Groups {
		if err := put(groups, c.Groups[i].Name, c.Groups[i].inForce()); err != nil {
			return "", err
		}
	}
	targets := below("targets")
	for i := range c.Targets {
		if err := put(targets, c.Targets[i].Name, c.targetInForce(&c.Targets[i])); err != nil {
			return "", err
		}
	}
	text, err := yaml.Marshal(root)
	return string(text), err
}

func (g *Group) inForce() groupInForce {
	return groupInForce{
		SrcIPv4: valid(g.SrcIPv4), SrcIPv6: valid(g.SrcIPv6), SrcSubnetIPv4: valid(g.SrcSubnetIPv4), SrcSubnetIPv6: valid(g.SrcSubnetIPv6),
		SrcPortA: g.SrcPortA, SrcPortZ: g.SrcPortZ, IPPayloadSize: g.IPPayloadSize, DSCP: g.DSCP, PermitAutoRegister: g.PermitAutoRegister,
	}
}

// valid is the text of an address or prefix, "" for none.
func valid[T interface {
	IsValid() bool
	String() string
}](a T) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (c *Config) targetInForce(t *Target) targetInForce {
	out := targetInForce{
		Description: t.Description, Type: t.Type, Destination: t.Destination, Family: t.Family, DontFragment: t.DontFragment, IsSubnet: t.IsSubnet,
		DstPort: t.DstPort, NbPackets: t.NbPackets, IPPayloadSize: t.IPPayloadSize, AlertLevel: t.AlertLevel,
		Timeout: t.Timeout.Seconds(), DNSUpdateInterval: int64(t.DNSUpdateInterval / time.Second),
	}
	if t.State != "None" {
		out.State = t.State
	}
	threshold := func(name string, v *float64) {
		if v != nil {
			if out.Threshold == nil {
				out.Threshold = map[string]float64{}
			}
			out.Threshold[name] = *v
		}
	}
	threshold("loss", t.ThresholdLoss)
	threshold("latency", t.ThresholdLatency)
	names := []string{}
	for _, g := range t.Groups {
		names = append(names, c.Groups[g].Name)
	}
	out.Groups = map[string][]string{"register_to": names}
	return out
}

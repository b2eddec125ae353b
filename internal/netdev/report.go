// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
)

// Report is everything that decides whether probes can leave by an interface.
type Report struct {
	NetNS    string       `json:"netns,omitempty"` // as given
	Info     Info         `json:"interface"`
	Gateways []netip.Addr `json:"gateways"`
	XDP      *XDPHolder   `json:"xdp,omitempty"` // nil: the slot is free
	Host     host.Facts   `json:"host"`
	// Problems are what stops a run, each one line. Empty: it can start.
	Problems []string `json:"problems"`
}

// Row is one line of a report.
type Row struct{ Label, Value string }

// Inspect reports on an interface. Unlike Open it also does so when the
// interface is down or unfit, and names that among the problems. It fails when
// there is no such interface or namespace.
func Inspect(ctx context.Context, o Options) (*Report, error) {
	l, attrs, err := find(o)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	r := &Report{NetNS: o.NetNS, Problems: []string{}}
	if err := l.usable(attrs); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	if r.Info, err = l.Info(); err != nil {
		return nil, err
	}
	if r.Info.AdminUp && !r.Info.Carrier {
		r.Problems = append(r.Problems, fmt.Sprintf("interface %s has no carrier", r.Info.Name))
	}
	if r.Info.MasterKind == "bond" || r.Info.MasterKind == "bridge" {
		r.Problems = append(r.Problems, fmt.Sprintf("interface %s is a port of the %s %s: addresses and routes belong to that one", r.Info.Name, r.Info.MasterKind, r.Info.Master))
	}
	if r.Gateways, err = l.Gateways(); err != nil {
		return nil, err
	}
	if r.XDP, err = l.XDPHolder(); err != nil {
		return nil, err
	}
	if r.XDP != nil {
		r.Problems = append(r.Problems, r.XDP.String())
	}
	if r.Host, err = host.Read(); err != nil {
		return nil, err
	}
	if err := r.Host.Require(); err != nil {
		r.Problems = append(r.Problems, err.Error())
	}
	return r, ctx.Err()
}

// Rows returns the report for people, in reading order.
func (r *Report) Rows() []Row {
	i := r.Info
	rows := []Row{{"interface", fmt.Sprintf("%s (index %d)", i.Name, i.Index)}}
	add := func(label, value string) { rows = append(rows, Row{label, value}) }
	if r.NetNS != "" {
		add("namespace", r.NetNS)
	}
	add("driver", i.Driver)
	add("state", stateText(i))
	add("MAC", cmp.Or(i.MAC, "none"))
	add("MTU", strconv.Itoa(i.MTU))
	add("queues", fmt.Sprintf("%d receive, %d transmit (at most %d and %d); a run takes them all, and meanwhile the kernel refuses fewer",
		i.Queues.Receive(), i.Queues.Transmit(), i.Queues.MaxRX+i.Queues.MaxCombined, i.Queues.MaxTX+i.Queues.MaxCombined))
	add("addresses", join(i.Addresses))
	add("gateways", join(r.Gateways))
	if i.Master != "" {
		add("master", i.MasterKind+" "+i.Master)
	}
	add("VLAN stripping", onOff(i.VLANStripping))
	if r.XDP == nil {
		add("XDP slot", "free")
	} else {
		add("XDP slot", r.XDP.String())
	}
	add("kernel", r.Host.Kernel)
	for _, f := range r.Host.Features {
		switch {
		case f.OK:
			add(f.Name, "yes")
		case f.Denied:
			add(f.Name, "unknown: "+f.Lacks)
		default:
			add(f.Name, "no: "+f.Lacks)
		}
	}
	add("kernel BTF", yesNo(r.Host.BTF))
	for _, c := range r.Host.Capabilities {
		add(c.Name, yesNo(c.Held))
	}
	add("locked memory", memlock(r.Host.MemlockSoft)+" (at most "+memlock(r.Host.MemlockHard)+")")
	for _, p := range r.Problems {
		add("problem", p)
	}
	return rows
}

func stateText(i Info) string {
	switch {
	case !i.AdminUp:
		return "down"
	case !i.Carrier:
		return "up, no carrier"
	}
	return "up, carrier (" + i.OperState + ")"
}

func join[T fmt.Stringer](all []T) string {
	if len(all) == 0 {
		return "none"
	}
	var text []string
	for _, x := range all {
		text = append(text, x.String())
	}
	return strings.Join(text, ", ")
}

func memlock(bytes uint64) string {
	if bytes == host.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(bytes>>10, 10) + " KiB"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

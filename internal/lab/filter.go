// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Hook is where a host looks at packets.
type Hook uint8

const (
	Input   Hook = iota // to the host itself
	Forward             // through a router
	Output              // from the host itself
)

// Match chooses packets of both families. The zero Match is all of them.
type Match struct {
	Proto Proto  // "" for every protocol
	From  string // source address or prefix; "" for any
	To    string // destination address or prefix; "" for any
	Port  uint16 // destination port of TCP or UDP; 0 for any
}

// Proto is an IP protocol, or the ICMP of either family.
type Proto string

const (
	TCP  Proto = "tcp"
	UDP  Proto = "udp"
	ICMP Proto = "icmp" // ICMP and ICMPv6
)

// RejectWith is what a rejecting filter answers.
type RejectWith uint8

const (
	PortUnreachable RejectWith = iota // ICMP 3/3, ICMPv6 1/4
	AdminProhibited                   // ICMP 3/13, ICMPv6 1/1
	HostUnreachable                   // ICMP 3/1, ICMPv6 1/3
	NoRoute                           // ICMP 3/0, ICMPv6 1/0
	TCPReset                          // RST; the match must be of TCP
)

// Counts is what a filter did. Each packet of Acted is in exactly one of the
// kinds below it.
type Counts struct {
	Seen  uint64 // packets that matched
	Acted uint64 // of them dropped or rejected

	SYN         uint64 // TCP with SYN and without ACK
	RST         uint64 // TCP with RST, with or without ACK
	OtherTCP    uint64
	UDP         uint64
	EchoRequest uint64 // ICMP type 8, ICMPv6 type 128
	OtherICMP   uint64
	Other       uint64
}

// kind is one of the kinds that Counts tells apart; the first that fits
// counts.
type kind struct {
	name  string
	exprs func() []expr.Any
	field func(*Counts) *uint64
}

// A TCP header's flags byte, and the types of an echo request.
const (
	flagSYN, flagRST, flagACK = 0x02, 0x04, 0x10
	echo4, echo6              = 8, 128
)

var kinds = []kind{
	{"rst", func() []expr.Any { return append(l4proto(unix.IPPROTO_TCP), tcpFlags(flagRST, flagRST)...) },
		func(c *Counts) *uint64 { return &c.RST }},
	{"syn", func() []expr.Any { return append(l4proto(unix.IPPROTO_TCP), tcpFlags(flagSYN|flagACK, flagSYN)...) },
		func(c *Counts) *uint64 { return &c.SYN }},
	{"othertcp", func() []expr.Any { return l4proto(unix.IPPROTO_TCP) },
		func(c *Counts) *uint64 { return &c.OtherTCP }},
	{"udp", func() []expr.Any { return l4proto(unix.IPPROTO_UDP) },
		func(c *Counts) *uint64 { return &c.UDP }},
	{"echo4", func() []expr.Any { return append(l4proto(unix.IPPROTO_ICMP), icmpType(echo4)...) },
		func(c *Counts) *uint64 { return &c.EchoRequest }},
	{"echo6", func() []expr.Any { return append(l4proto(unix.IPPROTO_ICMPV6), icmpType(echo6)...) },
		func(c *Counts) *uint64 { return &c.EchoRequest }},
	{"icmp4", func() []expr.Any { return l4proto(unix.IPPROTO_ICMP) },
		func(c *Counts) *uint64 { return &c.OtherICMP }},
	{"icmp6", func() []expr.Any { return l4proto(unix.IPPROTO_ICMPV6) },
		func(c *Counts) *uint64 { return &c.OtherICMP }},
	{"other", func() []expr.Any { return nil },
		func(c *Counts) *uint64 { return &c.Other }},
}

// Filter is one rule of a host's packet filter and its counters. Any
// goroutine may call its methods.
type Filter struct {
	host *Host
	name string
}

// DropAll drops every packet that matches.
func (h *Host) DropAll(hook Hook, m Match) *Filter {
	return h.filter(hook, m, nil, &expr.Verdict{Kind: expr.VerdictDrop})
}

// DropShare drops n of m matching packets, each by chance and on its own: of
// many packets a share near n/m goes, and Counts says exactly how many. Taking
// turns instead would strike only the SYNs, or only the resets, of a prober
// that sends one after the other.
func (h *Host) DropShare(hook Hook, match Match, n, m uint32) *Filter {
	return h.share(hook, match, n, m, unix.NFT_NG_RANDOM)
}

// DropTurns drops exactly the first n of every m matching packets.
func (h *Host) DropTurns(hook Hook, match Match, n, m uint32) *Filter {
	return h.share(hook, match, n, m, unix.NFT_NG_INCREMENTAL)
}

func (h *Host) share(hook Hook, match Match, n, m uint32, generator uint32) *Filter {
	if m == 0 || n > m {
		h.lab.fail(fmt.Errorf("dropping %d of %d packets on host %s: the share lies between 0 and 1", n, m, h.Name))
		return &Filter{host: h}
	}
	return h.filter(hook, match, []expr.Any{
		&expr.Numgen{Register: 1, Modulus: m, Type: generator},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: be32(n)},
	}, &expr.Verdict{Kind: expr.VerdictDrop})
}

// Reject answers every packet that matches with an ICMP error or a TCP reset.
// The errors count against the host's limits: see UnlimitedICMP.
func (h *Host) Reject(hook Hook, m Match, with RejectWith) *Filter {
	if with == TCPReset && m.Proto != TCP {
		h.lab.fail(fmt.Errorf("rejecting %+v with a TCP reset on host %s: the match must be of TCP", m, h.Name))
		return &Filter{host: h}
	}
	return h.filter(hook, m, nil, rejects[with])
}

var rejects = map[RejectWith]*expr.Reject{
	PortUnreachable: {Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH},
	AdminProhibited: {Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED},
	HostUnreachable: {Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_HOST_UNREACH},
	NoRoute:         {Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_NO_ROUTE},
	TCPReset:        {Type: unix.NFT_REJECT_TCP_RST},
}

// filter builds one filter: in the hook's chain `match → count seen`, and
// `match, chance → goto own chain`; in its own chain one counting rule per
// kind, each ending in the action.
func (h *Host) filter(hook Hook, m Match, chance []expr.Any, action expr.Any) *Filter {
	f := &Filter{host: h}
	if h.lab.err != nil {
		return f
	}
	f.name = fmt.Sprintf("filter%d", h.filters)
	h.filters++
	if err := f.install(hook, m, chance, action); err != nil {
		h.lab.fail(fmt.Errorf("adding packet filter %+v on host %s: %w", m, h.Name, err))
	}
	return f
}

func (f *Filter) install(hook Hook, m Match, chance []expr.Any, action expr.Any) error {
	matches, err := m.exprs()
	if err != nil {
		return err
	}
	c, err := f.host.nft()
	if err != nil {
		return err
	}
	table := c.AddTable(labTable)
	base := c.AddChain(hookChain(hook))
	own := c.AddChain(&nftables.Chain{Name: f.name, Table: table})
	counter := func(name string) []expr.Any {
		c.AddObj(&nftables.NamedObj{Table: table, Name: f.counter(name), Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		return []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: f.counter(name)}}
	}
	seen := counter("seen")
	for _, k := range kinds {
		exprs := append(k.exprs(), counter(k.name)...)
		c.AddRule(&nftables.Rule{Table: table, Chain: own, Exprs: append(exprs, action)})
	}
	// One rule per alternative of the match: an address family, an ICMP.
	for _, alt := range matches {
		// One rule counts and decides, so that a packet is seen once and its
		// chance taken once.
		exprs := append(append([]expr.Any{}, alt...), seen...)
		exprs = append(exprs, chance...)
		exprs = append(exprs, &expr.Verdict{Kind: expr.VerdictJump, Chain: own.Name})
		c.AddRule(&nftables.Rule{Table: table, Chain: base, Exprs: exprs, UserData: []byte(f.name)})
	}
	return c.Flush()
}

// Counts reads the filter's counters.
func (f *Filter) Counts() (Counts, error) {
	var out Counts
	c, err := f.host.nft()
	if err != nil {
		return out, err
	}
	objs, err := c.GetNamedObjects(labTable)
	if err != nil {
		return out, fmt.Errorf("reading packet counters of host %s: %w", f.host.Name, err)
	}
	values := make(map[string]uint64)
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok {
			if counter, ok := n.Obj.(*expr.Counter); ok {
				values[n.Name] = counter.Packets
			}
		}
	}
	read := func(name string) uint64 {
		v, ok := values[f.counter(name)]
		if !ok && err == nil {
			err = fmt.Errorf("counter %s of host %s is missing: the filter was not installed", f.counter(name), f.host.Name)
		}
		return v
	}
	out.Seen = read("seen")
	for _, k := range kinds {
		v := read(k.name)
		*k.field(&out) += v
		out.Acted += v
	}
	return out, err
}

// Remove takes the filter out; its counters stay readable.
func (f *Filter) Remove() error {
	c, err := f.host.nft()
	if err != nil {
		return err
	}
	for _, hook := range []Hook{Input, Forward, Output} {
		rules, err := c.GetRules(labTable, hookChain(hook))
		if err != nil {
			continue // the hook's chain was never made
		}
		for _, r := range rules {
			if string(r.UserData) == f.name {
				if err := c.DelRule(r); err != nil {
					return fmt.Errorf("removing packet filter %s of host %s: %w", f.name, f.host.Name, err)
				}
			}
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("removing packet filter %s of host %s: %w", f.name, f.host.Name, err)
	}
	return nil
}

func (f *Filter) counter(name string) string { return f.name + "-" + name }

// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// labTable holds every filter of a host, for both families.
var labTable = &nftables.Table{Name: "lab", Family: nftables.TableFamilyINet}

// hookChain returns the chain that a hook runs.
func hookChain(h Hook) *nftables.Chain {
	c := &nftables.Chain{Table: labTable, Type: nftables.ChainTypeFilter, Priority: nftables.ChainPriorityFilter}
	switch h {
	case Input:
		c.Name, c.Hooknum = "input", nftables.ChainHookInput
	case Forward:
		c.Name, c.Hooknum = "forward", nftables.ChainHookForward
	case Output:
		c.Name, c.Hooknum = "output", nftables.ChainHookOutput
	}
	return c
}

// nft opens the packet filter of the host.
func (h *Host) nft() (*nftables.Conn, error) {
	if !h.ns.IsOpen() {
		return nil, fmt.Errorf("host %s is not there: it could not be made, or its lab is closed", h.Name)
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(h.ns)))
	if err != nil {
		return nil, fmt.Errorf("opening the packet filter of host %s: %w", h.Name, err)
	}
	return c, nil
}

// exprs returns the expressions of each alternative of the match; a packet
// fits at most one.
func (m Match) exprs() ([][]expr.Any, error) {
	var protos [][]expr.Any
	switch m.Proto {
	case "":
		protos = [][]expr.Any{nil}
	case TCP:
		protos = [][]expr.Any{l4proto(unix.IPPROTO_TCP)}
	case UDP:
		protos = [][]expr.Any{l4proto(unix.IPPROTO_UDP)}
	case ICMP:
		protos = [][]expr.Any{l4proto(unix.IPPROTO_ICMP), l4proto(unix.IPPROTO_ICMPV6)}
	default:
		return nil, fmt.Errorf("protocol %q: tcp, udp or icmp", m.Proto)
	}
	var rest []expr.Any
	from, err := addrExprs(m.From, 12, 8)
	if err != nil {
		return nil, err
	}
	to, err := addrExprs(m.To, 16, 24)
	if err != nil {
		return nil, err
	}
	rest = append(append(rest, from...), to...)
	if m.Port != 0 {
		if m.Proto != TCP && m.Proto != UDP {
			return nil, errors.New("a port needs protocol tcp or udp")
		}
		rest = append(rest,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, m.Port)})
	}
	out := make([][]expr.Any, len(protos))
	for i, p := range protos {
		out[i] = append(append([]expr.Any{}, p...), rest...)
	}
	return out, nil
}

// addrExprs matches an address or prefix at its offset in the IPv4 or the
// IPv6 header.
func addrExprs(s string, offset4, offset6 uint32) ([]expr.Any, error) {
	if s == "" {
		return nil, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a prefix: %w", s, err)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	p = p.Masked()
	family, offset := byte(unix.NFPROTO_IPV4), offset4
	if p.Addr().Is6() {
		family, offset = unix.NFPROTO_IPV6, offset6
	}
	size := uint32(p.Addr().BitLen() / 8)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size,
			Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()), Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Addr().AsSlice()},
	}, nil
}

func l4proto(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// tcpFlags matches TCP headers whose flags under mask are want.
func tcpFlags(mask, want byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{want}},
	}
}

func icmpType(t byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{t}},
	}
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

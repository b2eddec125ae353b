// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Info is what the kernel and the driver say of an interface.
type Info struct {
	Name      string         `json:"name"`
	Index     int            `json:"index"`
	MAC       string         `json:"mac"`
	MTU       int            `json:"mtu"` // bytes of IP packet
	Driver    string         `json:"driver"`
	Queues    Queues         `json:"queues"`
	AdminUp   bool           `json:"admin_up"`
	Carrier   bool           `json:"carrier"`
	OperState string         `json:"oper_state"` // RFC 2863
	Addresses []netip.Prefix `json:"addresses"`
	// VLANStripping: the driver takes VLAN tags off before XDP sees a frame
	// (rx-vlan-hw-parse).
	VLANStripping bool `json:"vlan_stripping"`
	// Master is the bond, bridge or VRF the interface belongs to, "" for none,
	// and MasterKind what it is. A socket on a bond or bridge gets no frames:
	// those arrive at its ports.
	Master     string `json:"master,omitempty"`
	MasterKind string `json:"master_kind,omitempty"`
}

// Info asks the kernel and the driver.
func (l *Link) Info() (Info, error) {
	link, err := l.nl.LinkByIndex(l.Index())
	if err != nil {
		return Info{}, fmt.Errorf("read interface %s%s: %w", l.Name(), l.ns, err)
	}
	a := link.Attrs()
	i := Info{
		Name:      a.Name,
		Index:     a.Index,
		MAC:       a.HardwareAddr.String(),
		MTU:       a.MTU,
		AdminUp:   a.RawFlags&unix.IFF_UP != 0,
		Carrier:   a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0,
		OperState: a.OperState.String(),
	}
	if i.Addresses, err = l.addresses(); err != nil {
		return Info{}, err
	}
	if a.MasterIndex > 0 {
		if master, err := l.nl.LinkByIndex(a.MasterIndex); err == nil {
			i.Master, i.MasterKind = master.Attrs().Name, master.Type()
		}
	}
	err = l.ns.do(func() error {
		var err error
		if i.Driver, err = driver(a.Name); errors.Is(err, unix.EOPNOTSUPP) {
			i.Driver = link.Type()
		} else if err != nil {
			return err
		}
		var known bool
		if i.Queues, known, err = l.ethtool.queues(l.Index()); err != nil {
			return err
		}
		if !known { // a driver that cannot say has those it was made with
			i.Queues = Queues{RX: a.NumRxQueues, TX: a.NumTxQueues, MaxRX: a.NumRxQueues, MaxTX: a.NumTxQueues}
		}
		i.VLANStripping, err = l.ethtool.feature(l.Index(), "rx-vlan-hw-parse")
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("interface %s%s: %w", a.Name, l.ns, err)
	}
	return i, nil
}

// addresses returns those of the interface, both families, in the kernel's
// order.
func (l *Link) addresses() ([]netip.Prefix, error) {
	all, err := l.nl.AddrList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index()}}, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses of %s%s: %w", l.Name(), l.ns, err)
	}
	prefixes := make([]netip.Prefix, 0, len(all))
	for _, a := range all {
		if p, ok := prefixOf(a.IPNet); ok {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

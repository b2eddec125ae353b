// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// finishChecksums turns transmit checksum offload off, as `ethtool -K IFACE tx
// off` does: the kernel then finishes TCP and UDP checksums before the packet
// enters the veth. Segmentation offload goes with it.
func (e *End) finishChecksums() error {
	if err := e.clearFeature("tx-checksum-ip-generic"); err != nil {
		return fmt.Errorf("turning checksum offload of %s of %s off: %w", e.Name, e.Host.Name, err)
	}
	return nil
}

// clearFeature turns a device feature off by its name, through ethtool's
// netlink family (Documentation/networking/ethtool-netlink.rst, FEATURES_SET).
func (e *End) clearFeature(name string) error {
	family, err := e.Host.nl.GenlFamilyGet(unix.ETHTOOL_GENL_NAME)
	if err != nil {
		return fmt.Errorf("looking up the kernel's ethtool family: %w", err)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.ETHTOOL_A_FEATURES_HEADER, func(ae *netlink.AttributeEncoder) error {
		ae.Uint32(unix.ETHTOOL_A_HEADER_DEV_INDEX, uint32(e.Index))
		ae.Uint32(unix.ETHTOOL_A_HEADER_FLAGS, unix.ETHTOOL_FLAG_OMIT_REPLY)
		return nil
	})
	// A bit that is named and not given the flag "value" is one to clear.
	ae.Nested(unix.ETHTOOL_A_FEATURES_WANTED, func(ae *netlink.AttributeEncoder) error {
		ae.Nested(unix.ETHTOOL_A_BITSET_BITS, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.ETHTOOL_A_BITSET_BITS_BIT, func(ae *netlink.AttributeEncoder) error {
				ae.String(unix.ETHTOOL_A_BITSET_BIT_NAME, name)
				return nil
			})
			return nil
		})
		return nil
	})
	data, err := ae.Encode()
	if err != nil {
		return err
	}
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: int(e.Host.ns)})
	if err != nil {
		return fmt.Errorf("opening generic netlink: %w", err)
	}
	defer conn.Close()
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(family.ID), Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.ETHTOOL_MSG_FEATURES_SET, unix.ETHTOOL_GENL_VERSION, 0, 0}, data...),
	})
	return err
}

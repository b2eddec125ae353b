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
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{NetNS: int(e.Host.ns)})
	if err != nil {
		return fmt.Errorf("opening generic netlink: %w", err)
	}
	defer conn.Close()
	family, err := findFamily(conn, unix.ETHTOOL_GENL_NAME)
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
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: family, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.ETHTOOL_MSG_FEATURES_SET, unix.ETHTOOL_GENL_VERSION, 0, 0}, data...),
	})
	return err
}

// findFamily asks which number the kernel gave to a family of generic netlink
// (Documentation/userspace-api/netlink/intro.rst). The library that does the rest
// of the lab's netlink has this too, but sends bytes that belong to somebody else,
// which the race detector notices.
func findFamily(conn *netlink.Conn, name string) (netlink.HeaderType, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.CTRL_ATTR_FAMILY_NAME, name)
	data, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL, Flags: netlink.Request},
		Data:   append([]byte{unix.CTRL_CMD_GETFAMILY, 1, 0, 0}, data...),
	})
	if err != nil {
		return 0, err
	}
	for _, m := range answers {
		ad, err := netlink.NewAttributeDecoder(m.Data[min(4, len(m.Data)):])
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() == unix.CTRL_ATTR_FAMILY_ID {
				return netlink.HeaderType(ad.Uint16()), ad.Err()
			}
		}
	}
	return 0, fmt.Errorf("the kernel names no family %s", name)
}

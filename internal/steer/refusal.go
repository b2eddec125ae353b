// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// refusal returns the driver's own words for why it refuses native mode. A
// BPF link reports no more than an errno, err; the same request over netlink, which is
// refused on the same grounds, comes with a text. Should it not be refused, it
// is undone at once.
func (p *Program) refusal(ifindex int, err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	fd := int32(p.objects.Steer.FD())
	said := requestXDP(ifindex, fd, -1, unix.XDP_FLAGS_DRV_MODE|unix.XDP_FLAGS_UPDATE_IF_NOEXIST)
	if said == nil {
		requestXDP(ifindex, -1, fd, unix.XDP_FLAGS_DRV_MODE|unix.XDP_FLAGS_REPLACE)
	}
	var op *netlink.OpError
	if errors.As(said, &op) && op.Message != "" {
		return op.Message + " (" + err.Error() + ")"
	}
	return err.Error()
}

// requestXDP asks by RTM_SETLINK for a program on an interface, or for none
// where fd is -1. expected is the program to be there now, under XDP_FLAGS_REPLACE.
func requestXDP(ifindex int, fd, expected int32, flags uint32) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetOption(netlink.ExtendedAcknowledge, true); err != nil {
		return err
	}
	ae := netlink.NewAttributeEncoder()
	ae.Nested(unix.IFLA_XDP, func(ae *netlink.AttributeEncoder) error {
		ae.Int32(unix.IFLA_XDP_FD, fd)
		if flags&unix.XDP_FLAGS_REPLACE != 0 {
			ae.Int32(unix.IFLA_XDP_EXPECTED_FD, expected)
		}
		ae.Uint32(unix.IFLA_XDP_FLAGS, flags)
		return nil
	})
	attributes, err := ae.Encode()
	if err != nil {
		return err
	}
	const ifinfomsg = 16 // family, pad, type, index, flags, change
	data := make([]byte, ifinfomsg, ifinfomsg+len(attributes))
	binary.NativeEndian.PutUint32(data[4:], uint32(ifindex))
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_SETLINK, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(data, attributes...),
	})
	return err
}

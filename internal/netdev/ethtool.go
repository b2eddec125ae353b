// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Queues is how many queues of a kind a driver has now and can have.
type Queues struct {
	RX          int `json:"rx"`
	TX          int `json:"tx"`
	Combined    int `json:"combined"` // each one RX and one TX
	MaxRX       int `json:"max_rx"`
	MaxTX       int `json:"max_tx"`
	MaxCombined int `json:"max_combined"`
}

// Receive is the number of receive queues: as many sockets are needed.
func (q Queues) Receive() int { return q.RX + q.Combined }

// Transmit is the number of transmit queues.
func (q Queues) Transmit() int { return q.TX + q.Combined }

// ethtool asks what ethtool(8) asks, by generic netlink (since kernel 5.6,
// Documentation/networking/ethtool-netlink.rst). It keeps its socket: the queues
// are asked for often, also when the process has no descriptor left. Any goroutine
// may use it.
type ethtool struct {
	socket *nl.SocketHandle
	family int // the number that the kernel gave to ethtool's
}

// openEthtool must run inside the namespace of the interfaces.
func openEthtool() (*ethtool, error) {
	s, err := nl.Subscribe(unix.NETLINK_GENERIC) // to nothing: a plain socket
	if err != nil {
		return nil, fmt.Errorf("open netlink to ask for queues: %w", err)
	}
	if err := errors.Join(s.SetSendTimeout(&nl.SocketTimeoutTv), s.SetReceiveTimeout(&nl.SocketTimeoutTv)); err != nil {
		s.Close()
		return nil, err
	}
	t := &ethtool{socket: &nl.SocketHandle{Socket: s}}
	if t.family, err = t.findFamily(); err != nil {
		s.Close()
		return nil, fmt.Errorf("ask the kernel for ethtool's netlink: %w", err)
	}
	return t, nil
}

func (t *ethtool) close() { t.socket.Close() }

// get sends one request about an interface and returns the attributes of the
// answer.
func (t *ethtool) get(command uint8, ifindex int) ([]syscall.NetlinkRouteAttr, error) {
	// Every request's header is attribute 1.
	header := nl.NewRtAttr(unix.ETHTOOL_A_CHANNELS_HEADER|unix.NLA_F_NESTED, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(ifindex)))
	return t.ask(t.family, genericHeader{command, unix.ETHTOOL_GENL_VERSION}, header)
}

func (t *ethtool) findFamily() (int, error) {
	attrs, err := t.ask(nl.GENL_ID_CTRL, genericHeader{nl.GENL_CTRL_CMD_GETFAMILY, nl.GENL_CTRL_VERSION},
		nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(unix.ETHTOOL_GENL_NAME)))
	if err != nil {
		return 0, err
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.GENL_CTRL_ATTR_FAMILY_ID && len(a.Value) == 2 {
			return int(binary.NativeEndian.Uint16(a.Value)), nil
		}
	}
	return 0, errors.New("the kernel names no family of ethtool")
}

// ask sends one request of generic netlink and returns the attributes of the
// answer.
func (t *ethtool) ask(family int, h genericHeader, attribute *nl.RtAttr) ([]syscall.NetlinkRouteAttr, error) {
	req := nl.NewNetlinkRequest(family, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_GENERIC: t.socket}
	req.AddData(h)
	req.AddData(attribute)
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	if len(msgs) == 0 || len(msgs[0]) < len(h) {
		return nil, errors.New("empty answer")
	}
	return nl.ParseRouteAttr(msgs[0][len(h):])
}

// genericHeader is struct genlmsghdr: command, version, two bytes reserved. The
// library's own Genlmsg has two bytes and sends four: it reads memory that
// belongs to somebody else, which the race detector notices.
type genericHeader [4]byte

// Len is for nl.NetlinkRequestData.
func (h genericHeader) Len() int { return len(h) }

// Serialize is for nl.NetlinkRequestData.
func (h genericHeader) Serialize() []byte { return h[:] }

// queues asks the driver; ok is false when it cannot say.
func (t *ethtool) queues(ifindex int) (q Queues, ok bool, err error) {
	attrs, err := t.get(unix.ETHTOOL_MSG_CHANNELS_GET, ifindex)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return q, false, nil
	}
	if err != nil {
		return q, false, fmt.Errorf("ask for the interface's queues: %w", err)
	}
	into := map[uint16]*int{
		unix.ETHTOOL_A_CHANNELS_RX_COUNT: &q.RX, unix.ETHTOOL_A_CHANNELS_RX_MAX: &q.MaxRX,
		unix.ETHTOOL_A_CHANNELS_TX_COUNT: &q.TX, unix.ETHTOOL_A_CHANNELS_TX_MAX: &q.MaxTX,
		unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT: &q.Combined, unix.ETHTOOL_A_CHANNELS_COMBINED_MAX: &q.MaxCombined,
	}
	for _, a := range attrs {
		if p := into[a.Attr.Type]; p != nil && len(a.Value) == 4 {
			*p = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	return q, q.Receive() > 0, nil
}

// ReceiveQueues asks the driver how many receive queues the interface has now; 0
// where it cannot say. It is not for the packet path.
func (l *Link) ReceiveQueues() (int, error) {
	q, known, err := l.ethtool.queues(l.Index())
	switch {
	case err != nil:
		return 0, fmt.Errorf("interface %s%s: %w", l.Name(), l.ns, err)
	case !known:
		return 0, nil
	}
	return q.Receive(), nil
}

// feature says whether a feature of the driver is switched on. name is the
// kernel's (netdev_features_strings in net/ethtool/common.c).
func (t *ethtool) feature(ifindex int, name string) (bool, error) {
	attrs, err := t.get(unix.ETHTOOL_MSG_FEATURES_GET, ifindex)
	if err != nil {
		return false, fmt.Errorf("ask for the interface's features: %w", err)
	}
	// FEATURES_ACTIVE is a bitset without mask: it lists the bits that are set.
	for _, inner := range []uint16{unix.ETHTOOL_A_FEATURES_ACTIVE, unix.ETHTOOL_A_BITSET_BITS} {
		if attrs, err = nested(attrs, inner); err != nil {
			return false, fmt.Errorf("read the interface's features: %w", err)
		}
	}
	for _, bit := range attrs {
		fields, err := nl.ParseRouteAttr(bit.Value)
		if err != nil {
			return false, fmt.Errorf("read the interface's features: %w", err)
		}
		for _, f := range fields {
			if f.Attr.Type == unix.ETHTOOL_A_BITSET_BIT_NAME && nl.BytesToString(f.Value) == name {
				return true, nil
			}
		}
	}
	return false, nil
}

// nested returns the attributes inside the one of this type; none when it is
// absent.
func nested(attrs []syscall.NetlinkRouteAttr, kind uint16) ([]syscall.NetlinkRouteAttr, error) {
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED == kind {
			return nl.ParseRouteAttr(a.Value)
		}
	}
	return nil, nil
}

// driver returns the name of the interface's driver. It must run inside the
// interface's namespace.
func driver(name string) (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open a socket to ask for the driver: %w", err)
	}
	defer unix.Close(fd)
	d, err := unix.IoctlGetEthtoolDrvinfo(fd, name)
	if err != nil {
		return "", fmt.Errorf("ask for the driver of %s: %w", name, err)
	}
	return unix.ByteSliceToString(d.Driver[:]), nil
}

// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// Options says which interface a Link is.
type Options struct {
	Iface string
	NetNS string       // name under /run/netns, path, or "" for the current namespace
	Log   *slog.Logger // nil: nothing is logged
}

// Link is one Ethernet interface in one network namespace. Its methods may be
// called by any goroutine. None is for the packet path, except Up, MAC and MTU,
// which read one pointer.
type Link struct {
	iface   string // as given: what an interface that takes this one's place is called
	ns      *namespace
	nl      *netlink.Handle // in ns; serialises its callers
	ethtool *ethtool        // in ns
	log     *slog.Logger

	stateMu sync.Mutex // held while state is replaced
	state   atomic.Pointer[linkState]
	downs   atomic.Uint64
	changes chan struct{}
	soon    atomic.Bool // a signal on changes is under way
	watch   *watchList

	events chan any      // for the neighbour goroutine: the types in follow.go, and answer
	stop   chan struct{} // closed by Close
	closed sync.Once
	wg     sync.WaitGroup
}

// linkState is what the kernel last said of the interface.
type linkState struct {
	index int
	name  string
	mac   [6]byte
	mtu   int
	up    bool
	gone  bool
}

// Open finds the interface and starts to follow it. It fails, with an exit code,
// when the interface does not exist, is down, is not Ethernet or has no
// address that could be a source, when the namespace does not exist, and when a
// capability is missing. An interface without carrier is opened: its cable may
// come back.
func Open(ctx context.Context, o Options) (*Link, error) {
	l, attrs, err := find(o)
	if err != nil {
		return nil, err
	}
	err = l.usable(attrs)
	if err == nil {
		err = l.start()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	if !l.Up() {
		l.log.Warn("the interface has no carrier; probes are not sent until it has")
	}
	return l, nil
}

// find opens the namespace and looks for the interface. The Link it returns
// answers questions but follows no changes.
func find(o Options) (*Link, *netlink.LinkAttrs, error) {
	ns, err := openNamespace(o.NetNS)
	if err != nil {
		return nil, nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Link{
		iface:   o.Iface,
		ns:      ns,
		log:     o.Log.With("interface", o.Iface),
		changes: make(chan struct{}, 1),
		watch:   newWatchList(),
		events:  make(chan any, 256),
		stop:    make(chan struct{}),
	}
	err = ns.do(func() (err error) {
		if l.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open netlink%s: %w", ns, err)
		}
		if l.ethtool, err = openEthtool(); err != nil {
			l.nl.Close()
		}
		return err
	})
	if err != nil {
		ns.close()
		return nil, nil, err
	}
	found, err := l.nl.LinkByName(o.Iface)
	if err != nil {
		err = l.notFound(o.Iface, err)
		_ = l.Close()
		return nil, nil, err
	}
	attrs := found.Attrs()
	l.state.Store(stateOf(attrs))
	return l, attrs, nil
}

func stateOf(a *netlink.LinkAttrs) *linkState {
	s := &linkState{index: a.Index, name: a.Name, mtu: a.MTU, up: a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0}
	copy(s.mac[:], a.HardwareAddr)
	return s
}

func (l *Link) notFound(name string, err error) error {
	if !errors.As(err, new(netlink.LinkNotFoundError)) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ERANGE) {
		return fmt.Errorf("look for interface %s%s: %w", name, l.ns, err)
	}
	var names []string
	if all, err := l.nl.LinkList(); err == nil {
		for _, other := range all {
			names = append(names, other.Attrs().Name)
		}
	}
	return exitcode.With(exitcode.Unavailable, fmt.Errorf("interface %s does not exist%s; existing: %s", name, l.ns, strings.Join(names, ", ")))
}

// usable says why no probes can leave by the interface.
func (l *Link) usable(a *netlink.LinkAttrs) error {
	unavailable := func(format string, args ...any) error {
		return exitcode.With(exitcode.Unavailable, fmt.Errorf("interface %s%s "+format, append([]any{a.Name, l.ns}, args...)...))
	}
	switch {
	case a.RawFlags&unix.IFF_LOOPBACK != 0:
		return unavailable("is a loopback interface; probes need an Ethernet interface")
	case a.EncapType != "ether" || len(a.HardwareAddr) != 6:
		return unavailable("is not Ethernet but %q (a tunnel or point-to-point link); probes need an Ethernet interface", a.EncapType)
	case a.RawFlags&unix.IFF_UP == 0:
		return unavailable("is down; bring it up: ip link set %s up", a.Name)
	}
	ok, err := l.hasSource(a.Index)
	if err != nil {
		return err
	}
	if !ok {
		return unavailable("has no address; add one: ip addr add ADDRESS/LENGTH dev %s", a.Name)
	}
	return nil
}

// hasSource says whether the interface, or the host by an address of its
// loopback or a dummy interface (as hosts with unnumbered links have), has an
// address that replies can be routed to.
func (l *Link) hasSource(index int) (bool, error) {
	links, err := l.nl.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list interfaces%s: %w", l.ns, err)
	}
	lends := map[int]bool{index: true}
	for _, other := range links {
		if other.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 || other.Type() == "dummy" {
			lends[other.Attrs().Index] = true
		}
	}
	all, err := l.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list addresses%s: %w", l.ns, err)
	}
	for _, a := range all {
		addr, ok := netip.AddrFromSlice(a.IP)
		if ok && lends[a.LinkIndex] && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() {
			return true, nil
		}
	}
	return false, nil
}

// start opens what follows the interface and begins to do so.
func (l *Link) start() error {
	asks, err := l.openAsks(l.Index())
	if err != nil {
		return err
	}
	sub, err := l.subscribe()
	if err != nil {
		asks.close()
		return err
	}
	// The subscription is older than this table: nothing is missed between.
	table, err := l.kernelNeighbours(l.Index())
	if err != nil {
		asks.close()
		sub.Close()
		return err
	}
	l.refresh()
	hops := newNeighbours(l.log, l.Up())
	hops.kernelTable(table, time.Now())
	l.wg.Go(func() { l.follow(sub) })
	l.wg.Go(func() { l.keepFresh(hops, asks) })
	return nil
}

// Close stops following the interface. Next hops keep their last state.
func (l *Link) Close() error {
	l.closed.Do(func() {
		close(l.stop)
		l.wg.Wait()
		l.nl.Close()
		l.ethtool.close()
		l.ns.close()
	})
	return nil
}

// Do runs fn inside the interface's namespace, as the function Do does.
func (l *Link) Do(fn func() error) error { return l.ns.do(fn) }

// Index is the interface's index, which stays the same when it is renamed, and
// is another after Reopen.
func (l *Link) Index() int { return l.state.Load().index }

// NetNS tells the network namespace of the interface from others; see the function NetNS.
func (l *Link) NetNS() string { return l.ns.id }

// Name is the interface's present name.
func (l *Link) Name() string { return l.state.Load().name }

// MAC is the interface's present hardware address.
func (l *Link) MAC() [6]byte { return l.state.Load().mac }

// MTU is the interface's present MTU in bytes of IP packet.
func (l *Link) MTU() int { return l.state.Load().mtu }

// Arrived is what came in at an interface since it was made, in frames.
type Arrived struct {
	Received uint64
	// Dropped could not be taken in because this host was too slow: the receive ring
	// was full (rx_missed_errors, rx_fifo_errors, rx_over_errors of
	// Documentation/networking/statistics.rst). A veth has no such count, and
	// rx_dropped holds much that nobody wanted.
	Dropped uint64
}

// Arrived asks the kernel. It is not for the packet path.
func (l *Link) Arrived() (Arrived, error) {
	link, err := l.nl.LinkByIndex(l.Index())
	if err != nil {
		return Arrived{}, fmt.Errorf("interface %s%s: read what arrived: %w", l.Name(), l.ns, err)
	}
	st := link.Attrs().Statistics
	if st == nil {
		return Arrived{}, nil
	}
	return Arrived{Received: st.RxPackets, Dropped: st.RxMissedErrors + st.RxFifoErrors + st.RxOverErrors}, nil
}

// Up says whether the interface is up and has carrier.
func (l *Link) Up() bool { return l.state.Load().up }

// Downs is how often the interface went down, lost its carrier or went away since
// Open. It does not block.
func (l *Link) Downs() uint64 { return l.downs.Load() }

// Gone says whether the interface was deleted or moved to another namespace. It
// does not come back: one of the same name is another interface, which Reopen
// takes.
func (l *Link) Gone() bool { return l.state.Load().gone }

// Changes signals that links, addresses, routes, rules or next hops changed:
// ask your routes again. Signals within 50 ms are one. There is one channel: one
// goroutine should read it.
func (l *Link) Changes() <-chan struct{} { return l.changes }

// Hop returns the neighbour with this address on the link, and has it kept
// fresh until Release. addr has no zone.
func (l *Link) Hop(addr netip.Addr) *NextHop { return l.watch.use(addr) }

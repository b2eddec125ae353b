// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is one network namespace: a machine of its own as far as the network
// goes. The lab's goroutine builds with it; any goroutine may call Do,
// Command and ListenTCP.
type Host struct {
	Name  string // as given to Lab.Host
	Netns string // the namespace's name, for `ip netns exec` and --netns

	lab  *Lab
	ns   netns.NsHandle
	nl   *netlink.Handle // netlink sockets inside the namespace
	ends []*End

	noIPv6  bool // its interfaces get no link-local address
	filters int  // rules so far, for the names of their counters
}

// create makes the namespace and opens it.
func (h *Host) create() error {
	if !validHostName(h.Name) {
		return fmt.Errorf("name %q: 1 to 11 lower-case letters, digits and dashes", h.Name)
	}
	ns, err := createNetns(h.Netns)
	if err != nil {
		return err
	}
	h.ns = ns
	if h.nl, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE); err != nil {
		return h.undo(fmt.Errorf("opening netlink in namespace %s: %w", h.Netns, err))
	}
	lo, err := h.nl.LinkByName("lo")
	if err == nil {
		err = h.nl.LinkSetUp(lo)
	}
	if err != nil {
		return h.undo(fmt.Errorf("setting lo up in namespace %s: %w", h.Netns, err))
	}
	// Duplicate address detection would leave every new address unusable for
	// a second. "default" is what later interfaces copy.
	for _, key := range []string{"net.ipv6.conf.all.accept_dad", "net.ipv6.conf.default.accept_dad"} {
		if err := h.writeSysctl(key, "0"); err != nil {
			return h.undo(err)
		}
	}
	return nil
}

// undo removes a half-made host and returns err.
func (h *Host) undo(err error) error {
	_ = h.remove()
	return err
}

// remove closes the namespace and takes its name away; the kernel removes it
// and its interfaces with the last socket inside.
func (h *Host) remove() error {
	if h.nl != nil {
		h.nl.Close()
		h.nl = nil
	}
	if h.ns.IsOpen() {
		_ = h.ns.Close()
	}
	return deleteNetns(h.Netns)
}

// Do runs f on this goroutine with its thread inside the namespace: sockets
// that f opens and files below /proc/sys/net that it reads are the host's.
// Goroutines that f starts are not inside. It returns f's error, or why the
// namespace could not be entered. Any goroutine may call it, also nested.
func (h *Host) Do(f func() error) error {
	if !h.ns.IsOpen() {
		return fmt.Errorf("host %s is not there: it could not be made, or its lab is closed", h.Name)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("opening the current network namespace: %w", err)
	}
	defer before.Close()
	if err := netns.Set(h.ns); err != nil {
		return fmt.Errorf("entering namespace %s: %w", h.Netns, err)
	}
	defer func() {
		// Going on in the wrong namespace could send packets where nobody
		// allowed it.
		if err := netns.Set(before); err != nil {
			panic(fmt.Sprintf("lab: leaving namespace %s: %v", h.Netns, err))
		}
	}()
	return f()
}

// Sysctl writes a kernel parameter of the namespace: "net.ipv4.ip_forward" or,
// where an interface name holds a dot, "net/ipv4/conf/eth0.1/rp_filter".
func (h *Host) Sysctl(key, value string) {
	if h.lab.err != nil {
		return
	}
	h.lab.fail(h.writeSysctl(key, value))
}

func (h *Host) writeSysctl(key, value string) error {
	path := key
	if !strings.Contains(key, "/") {
		path = strings.ReplaceAll(key, ".", "/")
	}
	return h.Do(func() error {
		if err := os.WriteFile(filepath.Join("/proc/sys", path), []byte(value), 0); err != nil {
			return fmt.Errorf("setting %s=%s on host %s: %w", key, value, h.Name, err)
		}
		return nil
	})
}

// UnlimitedICMP lifts the limits on ICMP errors that the host sends, as a
// user who probes closed UDP ports has to: by default Linux sends one error
// per second to an address, and so many per second in all
// (Documentation/networking/ip-sysctl.rst).
func (h *Host) UnlimitedICMP() {
	h.Sysctl("net.ipv4.icmp_ratelimit", "0")
	h.Sysctl("net.ipv4.icmp_ratemask", "0")
	h.Sysctl("net.ipv6.icmp.ratelimit", "0")
	if h.lab.err != nil {
		return
	}
	// Newer kernels keep the limit in all for each namespace. On older ones it
	// is the machine's, has no file here, and holds ICMPv6 at 1,000 a second.
	// Some millions would overflow the kernel's 32-bit product with a second's
	// ticks.
	for key, value := range map[string]string{"net.ipv4.icmp_msgs_per_sec": "1000000", "net.ipv4.icmp_msgs_burst": "1000000"} {
		if err := h.writeSysctl(key, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.lab.fail(err)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Where the system's resolvers are written down: resolv.conf(5), and the file
// in which systemd-resolved keeps the real ones when the first names only its
// stub, 127.0.0.53 (systemd-resolved.service(8)).
const (
	resolvConf  = "/etc/resolv.conf"
	systemdConf = "/run/systemd/resolve/resolv.conf"
)

// Upstream returns the resolvers that the system's questions end up at, in
// order, without this host's own. There may be none.
func Upstream() ([]netip.Addr, error) { return upstream(resolvConf, systemdConf) }

// upstream returns the resolvers that the first of several files knows.
func upstream(paths ...string) ([]netip.Addr, error) {
	var failed []error
	for _, path := range paths {
		addrs, err := readResolvConf(path)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
	}
	if len(failed) == len(paths) {
		return nil, fmt.Errorf("find the system's resolvers: %w", errors.Join(failed...))
	}
	return nil, nil
}

func readResolvConf(path string) ([]netip.Addr, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	addrs, err := ParseResolvConf(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return addrs, nil
}

// ParseResolvConf returns the addresses of the nameserver lines of a
// resolv.conf(5), in order and once each: without zones, and without loopback
// and unspecified ones, which both stand for this host. What it does not
// understand it passes over, as the C library does.
func ParseResolvConf(r io.Reader) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		if addr, ok := nameserver(line); ok && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
		if errors.Is(err, io.EOF) {
			return addrs, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// nameserver reads one line. The keyword begins it, white space follows, and
// the address ends where a comment begins.
func nameserver(line string) (netip.Addr, bool) {
	rest, ok := strings.CutPrefix(line, "nameserver")
	if i := strings.IndexAny(rest, "#;"); i >= 0 {
		rest = rest[:i]
	}
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 || !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "\t") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(fields[0])
	if err != nil {
		return netip.Addr{}, false
	}
	addr = addr.Unmap().WithZone("")
	return addr, !addr.IsLoopback() && !addr.IsUnspecified()
}

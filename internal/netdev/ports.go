// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// reservedPorts is where the kernel says which ports it gives to no connection
// that does not ask for them (Documentation/networking/ip-sysctl.rst). Each network
// namespace has its own, for IPv4 and IPv6.
const reservedPorts = "/proc/sys/net/ipv4/ip_local_reserved_ports"

// ReservedPorts returns which ports net.ipv4.ip_local_reserved_ports holds in the
// network namespace ns, named as for Do.
func ReservedPorts(ns string) (reserved func(port uint16) bool, err error) {
	err = Do(ns, func() error {
		text, err := readOnce(reservedPorts)
		if err == nil {
			reserved, err = parsePorts(text)
		}
		if err != nil {
			return fmt.Errorf("read the reserved ports from %s: %w", reservedPorts, err)
		}
		return nil
	})
	return reserved, err
}

// longestPorts is more than the longest list has bytes: every other port.
const longestPorts = 1 << 18

// readOnce reads a list of ports by one call: a second one returns nothing more,
// however long the list is (proc_do_large_bitmap in kernel/sysctl.c).
func readOnce(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text := make([]byte, longestPorts)
	n, err := f.Read(text)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(text[:n]), nil
}

// parsePorts reads a list such as 22,8080-8089.
func parsePorts(list string) (has func(port uint16) bool, err error) {
	var set [1 << 16]bool
	has = func(port uint16) bool { return set[port] }
	if list = strings.TrimSpace(list); list == "" {
		return has, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, both := strings.Cut(part, "-")
		if !both {
			high = low
		}
		from, err := strconv.ParseUint(low, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no list of ports: %w", part, err)
		}
		to, err := strconv.ParseUint(high, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no list of ports: %w", part, err)
		}
		for p := from; p <= to; p++ {
			set[p] = true
		}
	}
	return has, nil
}

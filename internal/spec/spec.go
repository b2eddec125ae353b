// SPDX-License-Identifier: Apache-2.0

// Package spec reads targets as people write them on a command line:
// tcp://[2001:db8::1]:443, icmp://192.0.2.1, udp://host:33434.
package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// Allowed says how a target is written, for --help and errors.
const Allowed = "tcp://HOST:PORT, udp://HOST:PORT or icmp://HOST, HOST an address, [IPv6 address], prefix or name, for a name's IPv6 address tcp6://, udp6:// or icmp6://"

// Parse reads one target. Its name is the host, with the port where there is one.
// Whether it may be probed is for the daemon to say.
func Parse(text string) (t api.TargetSpec, err error) {
	bad := func(what string) (api.TargetSpec, error) {
		return api.TargetSpec{}, fmt.Errorf("target %q: %s; allowed: %s", text, what, Allowed)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return bad("no :// in it")
	}
	kind := strings.ToLower(scheme)
	switch {
	case strings.HasSuffix(kind, "6"):
		kind, t.Family = kind[:len(kind)-1], "ipv6"
	case strings.HasSuffix(kind, "4"):
		kind, t.Family = kind[:len(kind)-1], "ipv4"
	}
	t.Type = map[string]string{"tcp": "TCPsyn", "udp": "UDPunreachable", "icmp": "ICMPping"}[kind]
	if t.Type == "" {
		return bad("begins with " + strconv.Quote(scheme))
	}
	host, port := rest, ""
	if after, found := strings.CutPrefix(rest, "["); found {
		if host, port, ok = strings.Cut(after, "]"); !ok {
			return bad("no ] after [")
		}
		if port != "" && !strings.HasPrefix(port, ":") {
			// [2001:db8::]/120 is a prefix.
			i := strings.LastIndexByte(port, ':')
			if !strings.HasPrefix(port, "/") {
				return bad("it goes on after ]")
			}
			if i < 0 {
				i = len(port)
			}
			host, port = host+port[:i], port[i:]
		}
		port = strings.TrimPrefix(port, ":")
	} else if kind != "icmp" || strings.Count(rest, ":") == 1 {
		host, port = rest, ""
		if i := strings.LastIndexByte(rest, ':'); i >= 0 {
			host, port = rest[:i], rest[i+1:]
		}
	}
	if strings.Contains(host, ":") && !isAddress(host) {
		return bad("an IPv6 address is written in [ ]")
	}
	switch {
	case host == "":
		return bad("no host")
	case kind == "icmp" && port != "":
		return bad("ICMP has no ports")
	case kind != "icmp" && port == "":
		return bad("no port")
	}
	t.Destination, t.Name = host, host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("port " + strconv.Quote(port) + " is not between 1 and 65535")
		}
		t.DstPort = uint16(n)
		if t.Name += ":" + port; strings.Contains(host, ":") {
			t.Name = "[" + host + "]:" + port
		}
	}
	return t, nil
}

// isAddress says whether text is an IPv6 address or prefix.
func isAddress(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// usualUDPPort is where UDP goes where nobody says: the first port of traceroute,
// which mostly is closed.
const usualUDPPort = 33434

// specForms is what a person may write.
const specForms = "tcp://HOST:PORT, udp://HOST[:PORT], icmp://HOST or HOST, where HOST is a name, an address ([2001:db8::1] with a port), a prefix or a range"

// ParseSpec reads what a person writes to say what to probe: tcp://[2001:db8::1]:443,
// icmp://192.0.2.1, udp://host:33434, 10.0.0.0/16. What has no scheme is pinged.
func ParseSpec(s string) (api.TargetSpec, error) {
	t := api.TargetSpec{Name: s, Type: probe.ICMPping.Name}
	scheme, rest, with := strings.Cut(s, "://")
	if !with {
		scheme, rest = "icmp", s
	}
	host, port, err := cutPort(rest)
	if err != nil {
		return t, fmt.Errorf("%q: %w; allowed: %s", shorten(s), err, specForms)
	}
	t.Destination, t.DstPort = host, port
	switch strings.ToLower(scheme) {
	case "icmp", "ping":
		if port != 0 {
			return t, fmt.Errorf("%q has a port, and a ping has none; write tcp://%s", shorten(s), shorten(rest))
		}
	case "tcp":
		t.Type = probe.TCPsyn.Name
		if port == 0 && strings.Contains(host, ":") { // the last part may be meant as the port
			return t, fmt.Errorf("%q has no port; write tcp://[%s]:443, for one: an IPv6 address with a port stands in brackets", shorten(s), shorten(host))
		}
		if port == 0 {
			return t, fmt.Errorf("%q has no port; write tcp://%s:443, for one", shorten(s), shorten(rest))
		}
	case "udp":
		t.Type = probe.UDPunreachable.Name
		if port == 0 {
			t.DstPort = usualUDPPort
		}
	default:
		return t, fmt.Errorf("%q: %q is no kind of probe; allowed: %s", shorten(s), shorten(scheme), specForms)
	}
	if host == "" {
		return t, fmt.Errorf("%q names no host; allowed: %s", shorten(s), specForms)
	}
	return t, nil
}

// cutPort parts host and port. An IPv6 address or prefix with a port stands in
// brackets.
func cutPort(s string) (host string, port uint16, err error) {
	number := ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var after string
		if host, after, ok = strings.Cut(inner, "]"); !ok {
			return "", 0, errors.New("the bracket is not closed")
		}
		if after == "" {
			return host, 0, nil
		}
		if number, ok = strings.CutPrefix(after, ":"); !ok {
			return "", 0, errors.New("after the bracket there must be a colon and a port")
		}
	} else {
		if _, err := netip.ParseAddr(s); err == nil {
			return s, 0, nil
		}
		if _, err := netip.ParsePrefix(s); err == nil {
			return s, 0, nil
		}
		at := strings.LastIndexByte(s, ':')
		if at < 0 {
			return s, 0, nil
		}
		if host, number = s[:at], s[at+1:]; strings.Contains(host, ":") {
			return "", 0, errors.New("an IPv6 address with a port stands in brackets")
		}
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not a number from 1 to 65535", shorten(number))
	}
	return host, uint16(n), nil
}

// ReadSpecs reads one SPEC a line; what follows a # is a comment.
func ReadSpecs(r io.Reader, name string) (all []api.TargetSpec, err error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		for _, word := range strings.Fields(text) {
			t, err := ParseSpec(word)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n, err)
			}
			if len(all) == MaxAddrs {
				return nil, fmt.Errorf("%s:%d: there are more than %d targets", name, n, MaxAddrs)
			}
			all = append(all, t)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return all, nil
}

// ParseRate reads a rate in probes/s: 20000, 200k or 1M.
func ParseRate(s string) (float64, error) {
	factor, number := 1.0, s
	switch {
	case strings.HasSuffix(s, "k"), strings.HasSuffix(s, "K"):
		factor, number = 1e3, s[:len(s)-1]
	case strings.HasSuffix(s, "M"):
		factor, number = 1e6, s[:len(s)-1]
	}
	rate, err := strconv.ParseFloat(number, 64)
	if rate *= factor; err != nil || !(rate > 0) || math.IsInf(rate, 0) || rate > 1e8 || strings.ContainsAny(number, "xXpP_") {
		return 0, fmt.Errorf("read %q; allowed: probes per second such as 500, 200k or 1M", shorten(s))
	}
	return rate, nil
}

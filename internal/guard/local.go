// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local says whether a request comes from this machine and is meant for it: not
// passed on by a proxy, and not by a name that somebody else lets lead here
// (DNS rebinding).
func Local(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, proxied := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(proxied) != "" {
			return false
		}
	}
	return Loopback(r.Host)
}

// Loopback says whether a host, with a port or without, is this machine under a
// name that nobody else can let lead elsewhere.
func Loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	at, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && at.Unmap().IsLoopback()
}

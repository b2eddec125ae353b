// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/probe"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// What may be asked for at once.
const (
	MaxAddrs   = 1 << 20
	MaxCount   = 1_000_000
	maxProbes  = 1 << 31
	MaxTimeout = time.Minute
	maxSize    = 65_507 // bytes
	// UsualTimeout is how long an answer may take where nobody says.
	UsualTimeout = time.Second
)

// Shape is what probes to one address have in common with those to another.
type Shape struct {
	Type         *probe.Type
	Family       string // ipv4 or ipv6
	Port         uint16
	Size         int // bytes with the L4 header; 0: as little as it takes
	DontFragment bool
	Timeout      time.Duration
}

// Request is an api.ProbeRequest that was found to be good, but for its names.
type Request struct {
	api.ProbeRequest
	Interval time.Duration
	shapes   []Shape          // of the targets
	addrs    [][]netip.Addr   // of the targets that are no names
	spans    []netip.Prefix   // of those that are prefixes
	ranges   []config.Range   // of those that are ranges; zero elsewhere
	names    map[int]struct{} // targets that are names
	total    float64
}

// Name returns the host name of a target and the family it is wanted in, "" for
// either; ok is false where the target is no name.
func (r *Request) Name(target int) (host, family string, ok bool) {
	_, ok = r.names[target]
	return r.Targets[target].Destination, r.Targets[target].Family, ok
}

// Bad is a Problem of fields of the request.
func bad(errors ...api.FieldError) *api.Problem {
	return &api.Problem{Type: "about:blank", Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Detail: "the request asks for what there is not", Errors: errors}
}

// Check judges a request by itself. What is wrong with it comes as a Problem.
func Check(in api.ProbeRequest) (*Request, *api.Problem) {
	r := &Request{ProbeRequest: in, names: map[int]struct{}{}}
	var errs []api.FieldError
	fault := func(field, format string, args ...any) {
		errs = append(errs, api.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
	}
	if len(in.Targets) == 0 {
		fault("/targets", "there is none; allowed: one at least")
	}
	if in.Count < 1 || in.Count > MaxCount {
		fault("/count", "read %d; allowed: 1 to %d", in.Count, MaxCount)
	}
	if !(in.IntervalSeconds >= 0 && in.IntervalSeconds <= 3600) {
		fault("/interval_seconds", "read %v s; allowed: 0 to 3600 s", in.IntervalSeconds)
	}
	r.Interval = time.Duration(in.IntervalSeconds * float64(time.Second))
	if !(in.Rate >= 0 && in.Rate <= 1e8) {
		fault("/rate", "read %v; allowed: 0 (as the interval and the caps allow) to 100000000 probes/s", in.Rate)
	}
	if in.DSCP > 63 {
		fault("/dscp", "read %d; allowed: 0 to 63", in.DSCP)
	}
	if p := in.SourcePorts; len(p) != 0 && (len(p) != 2 || p[0] == 0 || p[0] > p[1]) {
		fault("/source_ports", "read %v; allowed: the first and the last port, 1 to 65535", p)
	}
	r.shapes, r.addrs = make([]Shape, len(in.Targets)), make([][]netip.Addr, len(in.Targets))
	r.spans, r.ranges = make([]netip.Prefix, len(in.Targets)), make([]config.Range, len(in.Targets))
	for i := range in.Targets {
		r.target(i, func(key, format string, args ...any) {
			fault(fmt.Sprintf("/targets/%d/%s", i, key), format, args...)
		})
		if len(errs) > 100 {
			break
		}
	}
	if r.total > MaxAddrs {
		fault("/targets", "they are %.0f addresses; allowed: %d at once", r.total, MaxAddrs)
	} else if r.total*float64(in.Count) > maxProbes {
		fault("/count", "that is %.0f probes; allowed: %d at once", r.total*float64(in.Count), maxProbes)
	}
	if len(errs) > 0 {
		return nil, bad(errs...)
	}
	return r, nil
}

func (r *Request) target(i int, fault func(key, format string, args ...any)) {
	t := &r.Targets[i]
	s := &r.shapes[i]
	typ, ok := probe.Lookup(t.Type)
	if !ok {
		fault("type", "read %q; allowed: ICMPping, TCPsyn, UDPunreachable", t.Type)
		return
	}
	*s = Shape{Type: typ, Family: t.Family, Port: t.DstPort, Size: t.IPPayloadSize, DontFragment: t.DontFragment == nil || *t.DontFragment, Timeout: UsualTimeout}
	if typ.NeedsPort && t.DstPort == 0 {
		fault("dst_port", "there is none; allowed: 1 to 65535")
	}
	if !typ.NeedsPort && t.DstPort != 0 {
		fault("dst_port", "read %d; an %s has none", t.DstPort, typ.Name)
	}
	if t.Timeout != 0 {
		s.Timeout = time.Duration(t.Timeout * float64(time.Second))
		if !(t.Timeout >= 0.001 && t.Timeout <= MaxTimeout.Seconds()) {
			fault("timeout_seconds", "read %v s; allowed: 0.001 to %v s", t.Timeout, MaxTimeout.Seconds())
		}
	}
	if t.IPPayloadSize < 0 || t.IPPayloadSize > maxSize {
		fault("ip_payload_size", "read %d; allowed: 0 to %d bytes", t.IPPayloadSize, maxSize)
	}
	if t.Family != "" && t.Family != "ipv4" && t.Family != "ipv6" {
		fault("address_family", "read %q; allowed: ipv4, ipv6", t.Family)
	}
	first, size := netip.Addr{}, 1.0
	if a, err := netip.ParseAddr(t.Destination); err == nil {
		first, r.addrs[i] = a, []netip.Addr{a}
	} else if p, err := netip.ParsePrefix(t.Destination); err == nil {
		p = p.Masked()
		first, r.spans[i] = p.Addr(), p
		size = math.Ldexp(1, p.Addr().BitLen()-p.Bits())
	} else if span, err := config.ParseRange(t.Destination); err == nil {
		first, r.ranges[i] = span.At(0), span
		size = float64(span.Size())
	} else if strings.Trim(t.Destination, "0123456789.*-") == "" && strings.ContainsAny(t.Destination, "*-") { // no host is called so
		fault("destination", "read the range %q: %v; allowed: four numbers from 0 to 255, of which some are ranges such as 1-9, or * for all", shorten(t.Destination), err)
		return
	} else if !isName(t.Destination) {
		fault("destination", "read %q; allowed: an address, a host name, a prefix such as 10.0.0.0/16, or a range such as 10.0.0.1-9", shorten(t.Destination))
		return
	} else {
		r.names[i] = struct{}{}
	}
	r.total += size
	if first.IsValid() {
		family := familyOf(first)
		if s.Family != "" && s.Family != family {
			fault("destination", "%s is %s; allowed: %s", t.Destination, family, s.Family)
		}
		s.Family = family
	}
}

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// isName says whether s may be a host name (RFC 1123 section 2.1, and the underscore
// that many have).
func isName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	s = strings.TrimSuffix(s, ".")
	onlyNumbers := true
	for _, label := range strings.Split(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-'
			if !letter && (c < '0' || c > '9') {
				return false
			}
			onlyNumbers = onlyNumbers && !letter
		}
	}
	return !onlyNumbers // 1.2.3 is an address that somebody forgot a part of
}

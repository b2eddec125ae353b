// SPDX-License-Identifier: Apache-2.0

// Package resolve turns names into addresses, off the packet path, and finds
// the system's upstream resolvers.
//
// Names are resolved where the program was started, whatever network namespace
// the packets are in: only threads that were moved into that namespace and
// locked are there, and the net package looks names up on other ones.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// How long one lookup may take, and how many are under way at once. A resolver
// that answers nothing delays other names by no more than their share.
const (
	lookupTimeout = 5 * time.Second
	maxLookups    = 32
)

// LookupFunc asks for the addresses of a host; network is "ip4" or "ip6". It is
// what net.Resolver.LookupNetIP is.
type LookupFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

// Resolver looks names up, a bounded number at once. Any goroutine may use it.
type Resolver struct {
	log    *slog.Logger
	lookup LookupFunc
	slots  chan struct{}
}

// New returns a Resolver; a nil lookup is the system's resolver.
func New(log *slog.Logger, lookup LookupFunc) *Resolver {
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	return &Resolver{log: log, lookup: lookup, slots: make(chan struct{}, maxLookups)}
}

// Lookup returns the first address of host in a family, "ipv4" or "ipv6", as
// netprobify takes it. An address is its own answer and nobody is asked.
func (r *Resolver) Lookup(ctx context.Context, host, family string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Is4() != (family == "ipv4") {
			return netip.Addr{}, fmt.Errorf("resolve %s: not an %s address; change destination or address_family", host, family)
		}
		return addr, nil
	}
	addrs, _, err := r.ask(ctx, host, family)
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0], nil
}

// errNoAddress says that a name has no address of the family that was asked for.
var errNoAddress = errors.New("no address of this family")

// noSuchName says whether an error is an answer: the name has no address. All
// others are of a resolver that failed to give one.
func noSuchName(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, errNoAddress) || errors.As(err, &dns) && dns.IsNotFound
}

// ask returns all addresses of a name in a family, at least one, in the order
// of the answer, and says how long that took once it was asked for.
func (r *Resolver) ask(ctx context.Context, host, family string) ([]netip.Addr, time.Duration, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("resolve %s (%s): %w", host, family, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	network := "ip4"
	if family == "ipv6" {
		network = "ip6"
	}
	start := time.Now()
	addrs, err := r.lookup(ctx, network, host)
	took := time.Since(start)
	if err != nil {
		return nil, took, fmt.Errorf("resolve %s (%s): %w; check the name and the resolvers in %s", host, family, err, resolvConf)
	}
	kept := addrs[:0]
	for _, addr := range addrs {
		// The net package may hand out IPv4 addresses mapped into IPv6.
		if addr = addr.Unmap().WithZone(""); addr.Is4() == (family == "ipv4") {
			kept = append(kept, addr)
		}
	}
	if len(kept) == 0 {
		return nil, took, fmt.Errorf("resolve %s (%s): %w; check the name and address_family", host, family, errNoAddress)
	}
	return kept, took, nil
}

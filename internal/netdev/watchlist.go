// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"net/netip"
	"sync"
)

// watchList is the set of next hops in use. Any goroutine may call its methods;
// the neighbour goroutine learns of changes through take.
type watchList struct {
	mu   sync.Mutex
	hops map[netip.Addr]*NextHop
	news []watchChange
	wake chan struct{} // capacity 1
}

// watchChange is a next hop that came into use or went out of it.
type watchChange struct {
	hop   *NextHop
	inUse bool
}

func newWatchList() *watchList {
	return &watchList{hops: map[netip.Addr]*NextHop{}, wake: make(chan struct{}, 1)}
}

func (w *watchList) use(addr netip.Addr) *NextHop {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hops[addr]
	if h == nil {
		h = &NextHop{Addr: addr, watch: w}
		w.hops[addr] = h
		w.tell(watchChange{h, true})
	}
	h.refs++
	return h
}

func (w *watchList) release(h *NextHop) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.refs--
	switch {
	case h.refs == 0:
		delete(w.hops, h.Addr)
		w.tell(watchChange{h, false})
	case h.refs < 0:
		panic("netdev: NextHop released more often than it was asked for")
	}
}

func (w *watchList) tell(c watchChange) {
	w.news = append(w.news, c)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the changes since the last call, in their order.
func (w *watchList) take() []watchChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.news
	w.news = nil
	return news
}

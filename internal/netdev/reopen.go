// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"
)

// ErrThere is what Reopen says of an interface that is not gone.
var ErrThere = errors.New("the interface is there")

// Reopen takes the interface that is called now what this one was when it was
// opened, after this one was deleted or moved to another namespace. The Link
// stays the same for all who hold it: its next hops are asked anew, and Changes
// signals. It fails as Open does while there is none that probes can leave by.
// One goroutine at a time may call it, none after Close.
func (l *Link) Reopen() error {
	if !l.Gone() {
		return fmt.Errorf("reopen interface %s%s: %w", l.iface, l.ns, ErrThere)
	}
	// What is announced meanwhile waits, and is then said of the new interface.
	l.stateMu.Lock()
	defer l.stateMu.Unlock()
	found, err := l.nl.LinkByName(l.iface)
	if err != nil {
		return l.notFound(l.iface, err)
	}
	attrs := found.Attrs()
	if err := l.usable(attrs); err != nil {
		return err
	}
	asks, err := l.openAsks(attrs.Index)
	if err != nil {
		return err
	}
	table, err := l.kernelNeighbours(attrs.Index)
	if err != nil {
		asks.close()
		return err
	}
	was := l.state.Load()
	l.state.Store(stateOf(attrs))
	l.log.Info("the interface is there again", "index", attrs.Index, "was_index", was.index)
	select {
	case l.events <- reopened{asks, table}:
	case <-l.stop:
		asks.close()
	}
	return nil
}

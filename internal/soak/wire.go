// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// wire is what became of the answers between the two XDP programs, by counts that
// are not the program's.
type wire struct {
	Answered float64 // the reflector's: what it sent back, one for each probe that reached it
	Died     float64 // the driver's: those of them that its ring to the other end, of 256 frames, had no room for
}

// wire asks the reflector and the driver.
func (r *rig) wire() (wire, error) {
	c, err := r.reflector.Counts()
	if err != nil {
		return wire{}, err
	}
	if c.Failed > 0 {
		return wire{}, fmt.Errorf("the responder could not answer %d probes", c.Failed)
	}
	text, err := r.far.Host.Exec(context.Background(), "ethtool", "-S", r.far.Name)
	if err != nil {
		return wire{}, fmt.Errorf("read what the veth dropped (apt-get install ethtool): %w", err)
	}
	died, err := diedOnVeth(text)
	return wire{Answered: float64(c.Echo + c.SynAck + c.RstAck + c.Unreachable), Died: died}, err
}

// diedOnVeth is how many frames an XDP program sent back by XDP_TX that never
// arrived, by what "ethtool -S" says of the end where it is attached. In
// drivers/net/veth.c, veth_xdp_flush_bq counts as xdp_tx_errors, by receive queue,
// what the ring of the other end did not take; "drops" are frames that could not be
// sent back at all. The drops of the other end are something else: what its XDP
// program sent to a full socket is among them, and the prober counts that itself.
func diedOnVeth(text string) (died float64, err error) {
	queues := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if !strings.HasPrefix(name, "rx_queue_") {
			continue
		}
		errors := strings.HasSuffix(name, "_xdp_tx_errors")
		if !errors && strings.TrimLeft(strings.TrimPrefix(name, "rx_queue_"), "0123456789") != "_drops" {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("ethtool says %q: %w", line, err)
		}
		died += n
		if errors {
			queues++
		}
	}
	if queues == 0 {
		return 0, fmt.Errorf("ethtool -S names no xdp_tx_errors: a veth of Linux 5.10 or newer does; it says:\n%s", text)
	}
	return died, nil
}

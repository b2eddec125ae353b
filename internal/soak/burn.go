// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// burners keep every CPU busy. One goroutine uses them.
type burners []*lab.Process

// set starts them, or ends them, unless it is so.
func (b *burners) set(inside *lab.Host, on bool) error {
	if !on {
		b.stop()
	}
	if !on || len(*b) > 0 {
		return nil
	}
	for range runtime.NumCPU() {
		p, err := inside.Start(context.Background(), "sh", "-c", "while :; do :; done")
		if err != nil {
			return fmt.Errorf("keep a CPU busy: %w", err)
		}
		*b = append(*b, p)
	}
	return nil
}

func (b *burners) stop() {
	for _, p := range *b {
		_ = p.Stop() // by a signal, which is an error
	}
	*b = nil
}

// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"time"
)

// every calls do at this interval, the first time after one, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

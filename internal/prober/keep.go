// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"time"
)

// keepHistory takes up what was published, twice a round, until ctx ends.
func (p *prober) keepHistory(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.history.Every()):
			p.history.Read(p.store.Series(), time.Now())
		}
	}
}

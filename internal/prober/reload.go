// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// reload loads the configuration again and carries it out, or says what is
// wrong with it and changes nothing. Any goroutine may call it but control's.
func (p *prober) reload(ctx context.Context) (report Report, err error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("reload the configuration: %w", err)
	}
	var next *config.Config
	apply := func() error {
		report, err = p.apply(next, true)
		return err
	}
	if p.byDefault() { // it is made of what control knows
		err = p.do(ctx, func() error {
			if next, err = p.load(); err != nil {
				return err
			}
			return apply()
		})
	} else if next, err = p.load(); err == nil {
		err = p.do(ctx, apply)
	}
	if ctx.Err() == nil || err == nil {
		p.app.ReloadFailed.Store(err != nil)
	}
	if err != nil {
		p.Log.Error("the configuration is not reloaded; probing goes on with the one before", "error", err)
	}
	return report, err
}

// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"errors"
)

// errEnded is what comes of a task while the prober ends.
var errEnded = errors.New("the prober is ending")

// control is the goroutine that owns configuration, plan, names and placement
// while the prober works: it follows names and routes that change, and does what
// others ask it to, until ctx ends.
func (p *prober) control(ctx context.Context) {
	defer close(p.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case task := <-p.tasks:
			task()
		case <-p.names.refresher.Changed():
			if err := p.move(p.take()); err != nil {
				p.Log.Error("cannot follow a changed name; probing goes on as before", "error", err)
			}
		case <-p.astray:
			if err := p.rehome(p.takeAstray()); err != nil {
				p.Log.Error("cannot follow a route to another interface", "error", err)
			}
		}
	}
}

// do lets control's goroutine call f, and waits for it. It does not wait for
// its turn beyond the end of ctx. Any other goroutine may call it.
func (p *prober) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case p.tasks <- func() { done <- f() }:
		return <-done // a task that has begun is not left half done
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return errEnded
	}
}

// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"time"
)

// TurnTimeout is how long a request usually waits for its turn.
const TurnTimeout = 10 * time.Second

// ErrBusy is why a request had no turn.
var ErrBusy = errors.New("too many requests at once")

// Turns lets few requests at a time do their work. The others wait in line. Any
// goroutine may use it.
type Turns struct {
	turns   chan struct{}
	timeout time.Duration
}

// NewTurns lets so many work at a time; the others wait for as long as timeout.
func NewTurns(most int, timeout time.Duration) *Turns {
	return &Turns{turns: make(chan struct{}, most), timeout: timeout}
}

// Take waits for a turn, which done gives back. Errors: ErrBusy when it waited too long, or that
// of ctx.
func (t *Turns) Take(ctx context.Context) (done func(), err error) {
	timeout := time.NewTimer(t.timeout)
	defer timeout.Stop()
	select {
	case t.turns <- struct{}{}:
		return func() { <-t.turns }, nil
	case <-timeout.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

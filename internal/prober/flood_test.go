// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
)

// An inventory that fails in ever other words, and works between, costs the log
// a bounded number of lines; each failure is counted.
func TestInventoryDoesNotFloodTheLog(t *testing.T) {
	var log lab.Buffer
	p := &prober{Options: Options{Log: logging.New(&log, false, slog.LevelInfo)}}
	f := &feed{inventory: config.Inventory{Name: "racks"}}
	for i := range 10_000 {
		_ = p.receive(t.Context(), f, inventory.Delivery{Err: fmt.Errorf("line %d is none", i)})
		_ = p.receive(t.Context(), f, inventory.Delivery{Same: true})
	}
	if n := strings.Count(log.String(), "\n"); n < 2 || n > 110 || f.failures.Load() != 10_000 {
		t.Errorf("%d lines of %d failures", n, f.failures.Load())
	}
}

// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
)

// A resolver that gives 50 names another address, or none, every second for ten
// minutes costs the log a bounded number of lines.
func TestResolverDoesNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lab.Buffer
		lookup := func(context.Context, string, string) ([]netip.Addr, error) {
			second := time.Now().Second()
			if second%3 == 0 {
				return nil, errors.New("server misbehaving")
			}
			return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(second)})}, nil
		}
		var names []Name
		for i := range 50 {
			names = append(names, Name{fmt.Sprint("t", i), fmt.Sprint("host", i), "ipv4", time.Second, 0})
		}
		ctx, cancel := context.WithCancel(t.Context())
		f := New(logging.New(&log, false, slog.LevelInfo), lookup).Refresh(ctx, names)
		time.Sleep(10 * time.Minute)
		cancel()
		synctest.Wait()
		if changes := len(f.Take()); changes < 10_000 {
			t.Errorf("only %d changes: this is no flood", changes)
		}
		if n := strings.Count(log.String(), "\n"); n < 100 || n > 600 {
			t.Errorf("%d lines", n)
		}
		time.Sleep(time.Minute) // the last sum
	})
}

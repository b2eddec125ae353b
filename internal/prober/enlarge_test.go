// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// A reload with a much larger list has the sockets opened anew with rings that hold
// its answers, and one with a list that is a little larger leaves them alone. Rings
// that cannot be had leave those that there were, and are not tried again.
func TestEnlarge(t *testing.T) {
	targets := func(n, packets int) string {
		text := "targets:"
		for i := range n {
			text += fmt.Sprintf("\n  t%d: {type: ICMPping, destination: 198.51.100.%d, nb_packets: %d, timeout: 0.1}", i, 2+i, packets)
		}
		return text
	}
	const settings = "safety: {max_pps: 100000, max_prefix_pps: 100000}"
	s := newStill(t, 1, settings, targets(1, 1))
	var log lab.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	s.stopped.Store(true) // nothing need be sent
	port := s.ports[0]
	ctx, cancel := context.WithCancel(t.Context())
	port.start(ctx, s.prober)
	defer port.stop()
	defer cancel()

	said := func(what string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), what); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the log does not say %q:\n%s", what, log.String())
			}
		}
	}
	check := func(frames, attached int) {
		t.Helper()
		port.mu.Lock()
		defer port.mu.Unlock()
		if port.options.rxFrames != frames || len(port.sockets) != 1 || strings.Count(log.String(), "msg=attached") != attached {
			t.Errorf("%d frames, %d sockets; want %d frames and 1 socket, attached anew %d times:\n%s", port.options.rxFrames, len(port.sockets), frames, attached, log.String())
		}
	}

	s.write(settings, targets(90, 100)) // 9,000 a second: 4,096 would do better
	s.reloads()
	time.Sleep(2 * tendEvery)
	check(minRing, 0)
	s.write(settings, targets(180, 100))
	s.reloads()
	said("msg=attached")
	check(8192, 1)

	port.frames.Store(10_000) // not a power of two: the kernel makes no such ring
	said("the receive rings stay as they were")
	check(8192, 2)
	if port.frames.Load() != 8192 || port.refused.Load() != 10_000 {
		t.Errorf("frames %d, refused %d after a ring that cannot be had", port.frames.Load(), port.refused.Load())
	}
}

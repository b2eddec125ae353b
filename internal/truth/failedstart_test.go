// SPDX-License-Identifier: Apache-2.0

package truth

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
)

// A start that fails at its last steps, here because veth has no zero-copy,
// gives its port back and resolves no more names.
func TestFailedStartLeavesNothing(t *testing.T) {
	l := lab.ForTest(t, "truth")
	a, _ := l.Connect(l.Host("a"), l.Host("b"), lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "netprobe.yaml")
	write(t, file, map[string]any{
		"global": map[string]any{"probe_name": probeName, "interval": 1, "nb_proc": 1, "logging_level": "INFO", "dns_update_interval": 0,
			"prometheus_address": "127.0.0.1", "prometheus_port": port},
		"groups":  map[string]any{"g": map[string]any{}},
		"targets": map[string]any{"x": map[string]any{"type": "ICMPping", "destination": "192.0.2.2"}},
		"engine":  map[string]any{"bind": "zerocopy"},
	})
	// Of other tests that run at once there are none in this package.
	resolving := func() int {
		stacks := make([]byte, 4<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "resolve.(*Refresher).run")
	}
	before := resolving()
	err := prober.Run(t.Context(), prober.Options{Ifaces: []string{a.Name}, NetNS: a.Host.Netns, Config: file, Log: slog.New(slog.DiscardHandler)})
	if exitcode.Of(err) != exitcode.Unavailable {
		t.Fatalf("exit code %d, %v", exitcode.Of(err), err)
	}
	held, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Errorf("left behind: %v", err)
	} else {
		held.Close()
	}
	for deadline := time.Now().Add(time.Minute); resolving() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("left behind: names are still resolved")
		}
	}
}

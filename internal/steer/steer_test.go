// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"os"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet/packettest"
)

// needRoot skips a test where it cannot run; in CI that is a failure.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// load returns a program for the corpus, with a number of queues.
func load(t testing.TB, queues int) *Program {
	t.Helper()
	needRoot(t)
	p, err := Load(Options{Secret: packettest.Secret, Queues: queues})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.SetFilter(packettest.Filter()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	load(t, 4)
}

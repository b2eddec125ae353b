// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
)

// An error that names a probe by one of two tokens only is believed, but not
// within a second of one that named none of the flow's. Every other answer is.
func TestGuesses(t *testing.T) {
	l := newLoop()
	foreign := func(number uint32, rx int64, weak bool) bool {
		t.Helper()
		before := l.foreign.Load()
		l.match(1, l.flow, &packet.Reply{
			Kind: packet.Error, Hash: l.flow.hash, Flow: packet.Flow{Proto: packet.ICMP}, Number: number, Alternate: number, Type: 3, Code: 3, Weak: weak,
		}, rx)
		return l.foreign.Load() != before
	}
	at := int64(0)
	for _, c := range []struct {
		what    string
		off     uint32 // from the number of the probe under way
		after   int64  // ns
		weak    bool
		foreign bool
	}{
		{"nobody guessed", 0, 0, true, false},
		{"a guess", 100, 0, true, true},
		{"a better guess", 0, guessed / 2, true, true},
		{"a whole proof", 0, 0, false, false},
		{"a while later", 0, guessed / 2, true, false},
		{"a whole proof of none", 100, 0, false, true},
		{"that was no guess", 0, 0, true, false},
	} {
		l.send()
		at = max(at, int64(l.number)*1000+500) + c.after
		if got := foreign(l.number+c.off, at, c.weak); got != c.foreign {
			t.Errorf("%s: foreign %v, want %v", c.what, got, c.foreign)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// guesses remembers on which flows somebody seems to guess: an error that names a
// probe by its IPv4 id or its checksum alone (packet.Reply's Weak) and names none
// that is known. Whoever guesses sends hardly any other, since few of a flow's 4,096
// numbers are under way; what a device that rewrites ids lets through names probes.
// For a while after one, errors with such a proof are not believed on the flow.
//
// Flows share places by their hash. Its worker alone uses it.
type guesses [1024]int64 // when the last one came, ns

// guessed is how long that lasts, ns.
const guessed = int64(time.Second)

func (g *guesses) note(hash uint64, now int64) { g[hash%uint64(len(g))] = now }

// on says whether somebody guesses on the flow with this hash.
func (g *guesses) on(hash uint64, now int64) bool {
	at := g[hash%uint64(len(g))]
	return at != 0 && now-at < guessed
}

// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// The engine holds its flows, slots, legs, series and targets in arenas, and
// refers to them by number: with a million targets, pointers would double what
// it needs, and the garbage collector would have to follow them.

const (
	chunkBits = 12
	chunkLen  = 1 << chunkBits
)

// arena holds entries that are numbered from 1 and never move; 0 is none. The
// control goroutine takes and gives back numbers, any goroutine may use what a
// number it was told stands for.
type arena[T any] struct {
	chunks atomic.Pointer[[]*[chunkLen]T] // replaced when it grows

	used  uint32              // numbers handed out so far, 0 included. Control only
	spare map[uint32][]uint32 // given back: first numbers, by how many in a row. Control only
}

// at returns the entry with this number.
func (a *arena[T]) at(n uint32) *T {
	return &(*a.chunks.Load())[n>>chunkBits][n&(chunkLen-1)]
}

// take returns the first of count numbers in a row, whose entries are zero.
func (a *arena[T]) take(count uint32) uint32 {
	if free := a.spare[count]; len(free) > 0 {
		a.spare[count] = free[:len(free)-1]
		return free[len(free)-1]
	}
	first := max(a.used, 1)
	a.used = first + count
	var have []*[chunkLen]T
	if p := a.chunks.Load(); p != nil {
		have = *p
	}
	if need := int(a.used-1)>>chunkBits + 1; need > len(have) {
		grown := append(make([]*[chunkLen]T, 0, max(need, 2*len(have))), have...)
		for len(grown) < need {
			grown = append(grown, new([chunkLen]T))
		}
		a.chunks.Store(&grown)
	}
	return first
}

// give returns numbers that nobody uses any more.
func (a *arena[T]) give(first, count uint32) {
	if first == 0 {
		return
	}
	for n := first; n < first+count; n++ {
		var zero T
		*a.at(n) = zero
	}
	if a.spare == nil {
		a.spare = map[uint32][]uint32{}
	}
	a.spare[count] = append(a.spare[count], first)
}

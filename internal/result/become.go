// SPDX-License-Identifier: Apache-2.0

package result

import (
	"slices"
	"sync/atomic"
)

// Become changes what the series is labelled with and which percentiles it
// publishes; all that was counted stays. Of the last round a percentile that
// was there before keeps its figure, and one that was not has none. Only the
// owning worker calls it; k must not change any more.
func (s *Series) Become(k *Kind) {
	before := s.kind.Load().Percentiles
	if slices.Equal(before, k.Percentiles) {
		s.kind.Store(k)
		return
	}
	figures := make([]uint32, len(k.Percentiles))
	r := s.rare.Load()
	for i, p := range k.Percentiles {
		figures[i] = unpublished
		if was := slices.Index(before, p); was >= 0 {
			if at := s.published(r, was); at != nil {
				figures[i] = at.Load()
			}
		}
	}
	var more *[]atomic.Uint32
	if beyond := len(figures) - len(s.roundTrips); beyond > 0 {
		made := make([]atomic.Uint32, beyond)
		for i := range made {
			made[i].Store(figures[len(s.roundTrips)+i])
		}
		more = &made
		r = s.uncommon()
	}
	s.version.Add(1)
	s.kind.Store(k)
	for i := range s.roundTrips {
		if i < len(figures) {
			s.roundTrips[i].Store(figures[i])
		}
	}
	if r != nil {
		r.roundTrips.Store(more)
	}
	s.version.Add(1)
}

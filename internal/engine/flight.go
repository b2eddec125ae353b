// SPDX-License-Identifier: Apache-2.0

package engine

// A flight is what only the owner of a probe needs to know, while the probe waits
// to be counted. There are as many as are under way, used over and over, so that
// they stay in the cache; slots are as many as may have to be told apart.
type flight struct {
	sent       int64 // ns of the monotonic clock, just before the kick
	slot       uint32
	bracket    uint32 // ns the kick took: how uncertain sent is; and shared
	round      uint32 // of the target
	probe      uint32 // of the round
	next, prev uint32 // flights in the same expiry queue; prev 0: in none
}

// took is how long the kick took, ns.
func (f *flight) took() uint32 { return f.bracket &^ shared }

// queued says whether the flight is in an expiry queue.
func (f *flight) queued() bool { return f.prev != 0 }

// flights holds one worker's flights, numbered from 1; they never move. Only the
// worker uses it.
type flights struct {
	chunks []*[chunkLen]flight
	used   uint32 // numbers ever taken
	spare  uint32 // the number given back last; its next is the one before
}

// at returns the flight with this number.
func (fs *flights) at(n uint32) *flight { return &fs.chunks[n>>chunkBits][n&(chunkLen-1)] }

// take returns the number of a flight that is in no queue. It allocates only where
// more are under way than ever before, for thousands at once.
func (fs *flights) take() uint32 {
	if n := fs.spare; n != 0 {
		f := fs.at(n)
		fs.spare, f.next = f.next, 0
		return n
	}
	fs.used++
	if int(fs.used)>>chunkBits == len(fs.chunks) {
		fs.chunks = append(fs.chunks, new([chunkLen]flight))
	}
	return fs.used
}

// give takes back a flight that is in no queue.
func (fs *flights) give(n uint32) { fs.at(n).next, fs.spare = fs.spare, n }

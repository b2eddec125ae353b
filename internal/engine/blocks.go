// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// Blocks keeps all workers together under a rate into each /24 and /48, whatever they have to
// catch up with. Only blocks into which more could leave within a window than the rate allows
// are looked after, which are few, and none where the cap is high. Any number of goroutines
// may use it; workers do not lock.
type Blocks struct {
	crowded atomic.Pointer[map[blockKey]*blockLimit] // nil: none. Replaced when it changes

	mu      sync.Mutex            // guards what follows
	pps     float64               // into each
	few     [1 << fewBits]uint8   // how many probes may leave within a window for all blocks of a hash, beyond most
	fewest  uint8                 // what an entry of few grows to at the most
	most    map[blockKey]int      // how many may for a block, beyond few: where few is full
	changed map[blockKey]struct{} // blocks whose most did, since the last publish
	idle    map[blockKey]struct{} // blocks that are crowded no more, but were
	epoch   uint32                // of the counts
	seed    maphash.Seed
}

// fewBits is how many entries few has, as a power of two. Mostly each target is in a block of
// its own, which an entry of a map would make dearer than all that it may cost. So what cannot crowd
// a block is counted together with others, where it takes a byte for several.
const fewBits = 16

// fewOf is how many probes within a window are counted together, at a rate: no block is
// crowded by them alone, also at a quarter of the rate.
func fewOf(pps float64) uint8 { return uint8(min(math.MaxUint8, placesOf(pps)/4)) }

// blockKey is the /24 or /48 of an address: its bits, and one that tells families apart.
type blockKey uint64

// blockOf is the block of an address, IPv4 mapped into IPv6, as plan.Block has it.
func blockOf(addr *[16]byte) blockKey {
	high, low := binary.BigEndian.Uint64(addr[:8]), binary.BigEndian.Uint64(addr[8:])
	if high == 0 && low>>32 == 0xffff {
		return blockKey(1<<48 | uint64(uint32(low))>>8)
	}
	return blockKey(high >> 16)
}

// blockLimit is one block's. As in a Limiter, of so many places as a window may hold probes
// each is used once in a window. But here a probe that has to wait is given its place at
// once: then each is looked at two or three times, however many wait, and they leave in
// the order in which they asked.
type blockLimit struct {
	window int64         // ns
	next   atomic.Uint64 // counts places given
	places []place
}

// place is one place of a block.
type place struct {
	given atomic.Int64 // when the last probe it was given to may leave, ns
	left  atomic.Int64 // when the last one left by it, which may be later, ns
}

// mostPlaces is how many places have numbers that a target can hold: enough for 42 million
// probes per second.
const mostPlaces = 1<<(32-placeShift) - 1

func newBlockLimit(pps float64) *blockLimit {
	l := &blockLimit{window: windowOf(pps), places: make([]place, min(placesOf(pps), mostPlaces))}
	for i := range l.places {
		l.places[i].given.Store(-l.window)
		l.places[i].left.Store(-l.window)
	}
	return l
}

// remember takes over when the newest probes left by another limit. Nobody uses l yet.
func (l *blockLimit) remember(old *blockLimit) {
	left := make([]int64, len(old.places))
	for i := range old.places {
		left[i] = old.places[i].left.Load()
	}
	slices.Sort(left)
	left = left[max(0, len(left)-len(l.places)):]
	for i, at := range left {
		p := &l.places[len(l.places)-len(left)+i] // the ring begins with the oldest
		p.given.Store(at)
		p.left.Store(at)
	}
}

// give gives a probe a place, numbered from 1, and returns when it may leave, ns: now at the
// soonest.
func (l *blockLimit) give(now int64) (number uint32, at int64) {
	i := (l.next.Add(1) - 1) % uint64(len(l.places))
	p := &l.places[i]
	for {
		before := p.given.Load()
		if at = max(now, before+l.window); p.given.CompareAndSwap(before, at) {
			return uint32(i) + 1, at
		}
	}
}

// free is when the next probe may leave by a place, ns: later than when it was given for, if the
// one before left late.
func (l *blockLimit) free(number uint32) int64 {
	return l.places[number-1].left.Load() + l.window
}

// leave lets a probe leave by a place now, unless it is too early.
func (l *blockLimit) leave(number uint32, now int64) bool {
	p := &l.places[number-1]
	before := p.left.Load()
	return before+l.window <= now && p.left.CompareAndSwap(before, now)
}

// newest is when the last probe left, ns.
func (l *blockLimit) newest() int64 {
	newest := l.places[0].left.Load()
	for i := range l.places {
		newest = max(newest, l.places[i].left.Load())
	}
	return newest
}

// keepIdle is how long a block that is crowded no more is looked after: what left it lately
// counts if it becomes so again.
const keepIdle = int64(10 * limitWindow)

// NewBlocks returns Blocks of pps probes per second into each.
func NewBlocks(pps float64) *Blocks {
	return &Blocks{
		pps: pps, fewest: fewOf(pps), most: map[blockKey]int{}, changed: map[blockKey]struct{}{}, idle: map[blockKey]struct{}{},
		seed: maphash.MakeSeed(),
	}
}

// SetRate lets pps probes per second into each block from now on. Every engine has to Recount
// after it.
func (b *Blocks) SetRate(pps float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pps == pps {
		return
	}
	b.pps = pps
	next := map[blockKey]*blockLimit{}
	clear(b.idle)
	clear(b.changed)
	if uint32(b.fewest) > placesOf(pps) {
		// What was counted together may be too much now, and of whom it is nobody knows.
		b.epoch++
		b.fewest, b.few = fewOf(pps), [len(b.few)]uint8{}
		clear(b.most)
		if all := b.crowded.Load(); all != nil {
			for key := range *all {
				next[key] = b.limitOf(key)
				b.idle[key] = struct{}{} // until it is counted
			}
		}
	} else {
		b.fewest = max(b.fewest, fewOf(pps))
		for key := range b.most {
			if b.isCrowded(key) {
				next[key] = b.limitOf(key)
			}
		}
	}
	b.show(next)
}

// limitOf returns what looks after a block at the rate of now, with what has left.
func (b *Blocks) limitOf(key blockKey) *blockLimit {
	l := newBlockLimit(b.pps)
	if all := b.crowded.Load(); all != nil {
		if old := (*all)[key]; old != nil {
			l.remember(old)
		}
	}
	return l
}

func (b *Blocks) show(crowded map[blockKey]*blockLimit) {
	if len(crowded) == 0 {
		b.crowded.Store(nil)
		return
	}
	b.crowded.Store(&crowded)
}

// fewFor is the entry of few in which a block is counted.
func (b *Blocks) fewFor(key blockKey) *uint8 {
	return &b.few[maphash.Comparable(b.seed, key)>>(64-fewBits)]
}

// isCrowded says whether more might leave for a block within a window than may: it never says no
// where it is so, but yes where what is counted together would make it so.
func (b *Blocks) isCrowded(key blockKey) bool {
	most, counted := b.most[key]
	return counted && most+int(*b.fewFor(key)) > int(placesOf(b.pps))
}

// count notes that so many more probes may leave for an address within a window, or fewer.
// It counts from the next publish on.
//
// How much few has of a block nobody knows. What it and most have are right together, since
// as long as most has an entry, that alone changes.
func (b *Blocks) count(addr netip.Addr, probes int) {
	mapped := addr.As16()
	key := blockOf(&mapped)
	few := b.fewFor(key)
	most, counted := b.most[key]
	if sum := int(*few) + most + probes; sum <= int(b.fewest) {
		*few = uint8(sum)
		delete(b.most, key)
	} else {
		counted = true
		b.most[key] = most + probes
	}
	if counted {
		b.changed[key] = struct{}{}
	}
}

// publish lets workers know which blocks are looked after now.
func (b *Blocks) publish(now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.changed)+len(b.idle) == 0 {
		return
	}
	next, differs := map[blockKey]*blockLimit{}, false
	if all := b.crowded.Load(); all != nil {
		for key, l := range *all {
			next[key] = l
		}
	}
	for key := range b.changed {
		crowded := b.isCrowded(key)
		switch _, there := next[key]; {
		case crowded && !there:
			next[key], differs = b.limitOf(key), true
		case crowded:
			delete(b.idle, key)
		case there:
			b.idle[key] = struct{}{}
		}
	}
	for key := range b.idle {
		if l := next[key]; l.newest()+keepIdle < now {
			delete(next, key)
			delete(b.idle, key)
			differs = true
		}
	}
	b.changed = map[blockKey]struct{}{} // not cleared: it may have been large
	if differs {
		b.show(next)
	}
}

// of returns the limit of an address's block; nil where there is none to be kept.
func (b *Blocks) of(addr *[16]byte) *blockLimit {
	all := b.crowded.Load()
	if all == nil {
		return nil
	}
	return (*all)[blockOf(addr)]
}

// countBlocks notes what a target may send within a window: sign 1, or no longer: -1.
func (e *Engine) countBlocks(n uint32, sign int) {
	e.Blocks.mu.Lock()
	defer e.Blocks.mu.Unlock()
	if e.counted == e.Blocks.epoch { // else Recount is about to count those that are there then
		e.countEach(n, sign)
	}
}

// countEach is countBlocks under Blocks.mu.
func (e *Engine) countEach(n uint32, sign int) {
	p := e.targets.at(n).plan
	for a := range p.Addrs {
		e.Blocks.count(e.address(n, a), sign*mostWithin(p, e.Interval, e.Tick))
	}
}

// Recount counts anew what all targets may send within a window, if Blocks.SetRate needs it.
func (e *Engine) Recount() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.countAnew()
	e.Blocks.publish(e.clock.now())
}

// countAnew is Recount, but for those who look at the counts.
func (e *Engine) countAnew() {
	e.Blocks.mu.Lock()
	defer e.Blocks.mu.Unlock()
	if e.counted == e.Blocks.epoch {
		return
	}
	e.counted = e.Blocks.epoch
	for n := uint32(1); n < e.targets.used; n++ {
		if t := e.targets.at(n); t.plan != nil && !t.gone() {
			e.countEach(n, 1)
		}
	}
}

// mostWithin is how many probes a target may send to one of its addresses within a window:
// those that are due in it, and those that are late, by an interval at the most.
func mostWithin(p *plan.Target, interval, tick time.Duration) int {
	each := p.Probes() / max(1, len(p.Addrs))
	if p.Once {
		return each
	}
	span := interval + tick + limitWindow
	return each * int((span+interval-1)/interval)
}

// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"hash/fnv"
	"math"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/packet"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

// How flows and targets come and go. Only the control side does it, under
// Engine.mu. What goes is not forgotten at once: late answers still find a flow,
// probes under way still count, a scrape still reads a series.

// resting is how long something that went is kept, beyond the longest timeout:
// longer than a scrape may take to be written.
const resting = 3 * time.Minute

// acquire returns the flow with this identity for one more user, or 0 when
// another worker owns it, it has as many users as it can, or it has to be
// replaced and cannot be yet.
func (e *Engine) acquire(key packet.Flow, t *target, group *plan.Group, src int) uint32 {
	hash := e.Secret.Hash(&key)
	needs := slotsNeeded(t.plan, group, src, e.Interval)
	n, f := e.lookup(hash, &key)
	if f == nil {
		n = e.flows.take(1)
		f = e.flows.at(n)
		f.hash, f.remote, f.local = hash, key.Remote.As16(), e.localNumber(key.Local)
		f.proto, f.localPort, f.remotePort = key.Proto, key.LocalPort, key.RemotePort
		f.owner, f.dscp = t.owner(), group.DSCP
		e.fresh[n] = 0
		e.insert(hash, n)
	}
	_, fresh := e.fresh[n]
	if t.plan.Once && f.users > 0 {
		return 0 // it must not get in anybody's way
	}
	if f.users == 0 && !fresh && (f.owner != t.owner() || f.dscp != group.DSCP || f.bits < slotBits(f.proto, needs)) {
		// Left by others, and not as it is needed now.
		if n, f = e.succeed(n, f, t.owner(), group.DSCP); f == nil {
			e.inTheWay = e.flows.at(n)
			return 0
		}
		fresh = true
	}
	if f.owner != t.owner() || f.users >= alone-1 {
		e.inTheWay = f
		return 0
	}
	delete(e.retired, n) // it may have been on its way out
	f.users++
	if t.plan.Once {
		f.users = alone
	}
	if fresh {
		e.fresh[n] += needs
	}
	return n
}

// alone is the users of a flow that has one, and takes no other: it is probed once.
const alone = math.MaxUint16

// succeed puts another flow in the place of one without users, once no probe is
// under way on it: with the slots that its users need, the same identity and the
// next numbers, so that what answers the old one is not taken for an answer to
// the new. It returns a nil flow when it is too early.
func (e *Engine) succeed(n uint32, old *flow, owner, dscp uint8) (uint32, *flow) {
	if e.retired[n].since >= e.roundSince() || e.busy(old) {
		return n, nil
	}
	next := e.flows.take(1)
	f := e.flows.at(next)
	f.hash, f.remote, f.local, f.proto = old.hash, old.remote, old.local, old.proto
	f.localPort, f.remotePort = old.localPort, old.remotePort
	f.owner, f.dscp = owner, dscp
	f.newest, f.newestTime, f.offset = old.newest, old.newestTime, old.offset
	f.last.Store(old.last.Load())
	f.peer.Store(old.peer.Load())
	e.fresh[next] = 0
	e.index.Load().replace(f.hash, n, next)
	delete(e.retired, n)
	e.dead[n] = e.clock.now()
	return next, f
}

// insert makes a flow findable, though without slots nobody uses it yet.
func (e *Engine) insert(hash uint64, n uint32) {
	ix := e.index.Load()
	if ix.full() {
		ix = e.reindex(2 * ix.count)
	}
	ix.insert(hash, n)
	e.index.Store(ix)
}

// reindex returns an index of all flows with room for more.
func (e *Engine) reindex(room int) *index {
	old := e.index.Load()
	ix := newIndex(max(room, old.count) + 1)
	for i := range old.entries {
		if n := old.entries[i].Load(); n != 0 {
			if _, dead := e.dead[n]; !dead {
				ix.insert(e.flows.at(n).hash, n)
			}
		}
	}
	return ix
}

// retired is a flow without users.
type retired struct {
	since int64     // ns
	until time.Time // when nobody finds it any more
}

// release gives a flow up for one user. Late answers find it for a while.
func (e *Engine) release(n uint32) {
	if n == 0 {
		return
	}
	f := e.flows.at(n)
	rest := resting + time.Duration(e.longest.Load())
	if f.users == alone {
		f.users = 1
		rest = restingOnce
	}
	if f.users--; f.users == 0 {
		e.retired[n] = retired{e.clock.now(), time.Now().Add(rest)}
		clear(e.noneLeft)
	}
}

// identifier chooses an echo identifier for a flow: the same at every start
// where possible, because identifiers are paths to devices that hash them, and
// its own, because the flow is found by it. It returns false where all of an
// address are taken.
//
// From its first choice a name goes on in steps of its own: one by one, it would
// meet what others took for the same reason, ten times as often when few are left.
func (e *Engine) identifier(key packet.Flow, t *target, group *plan.Group) (uint16, bool) {
	key.LocalPort, key.RemotePort = 0, 0
	if _, none := e.noneLeft[key]; none {
		return 0, false
	}
	h := fnv.New32a()
	h.Write([]byte(t.plan.Name + "\x00" + group.Name))
	sum := h.Sum32()
	id, step := uint16(sum)|1, uint16(sum>>16)|1 // an odd step comes to every one
	pair, used := key, 0
	for range 1 << 16 {
		key.LocalPort = id
		n, f := e.lookup(e.Secret.Hash(&key), &key)
		// Its own of a moment ago, before the route went and came, will do.
		if n == 0 || f.users == 0 && f.owner == t.owner() && !t.plan.Once {
			return id, true
		}
		if f.users > 0 {
			used++
		}
		id += step
	}
	if used == 1<<16 { // nobody gets one before one is given up
		e.noneLeft[pair] = struct{}{}
	}
	return 0, false
}

// prune forgets what no answer can belong to any more: first nobody finds it,
// then, when every worker has come round since, its place is free.
func (e *Engine) prune() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Blocks.publish(e.clock.now())
	seen := e.roundSince()
	for n, since := range e.dead {
		f := e.flows.at(n)
		if since < seen && !e.busy(f) {
			e.slots.give(f.slots.Load(), 1<<f.bits)
			e.leaveHop(f.hop.Load())
			e.flows.give(n, 1)
			delete(e.dead, n)
		}
	}
	e.pruneHops(seen)
	now := time.Now()
	for n, l := range e.leaving {
		if t := e.targets.at(n); now.After(l.at) && l.since < seen && t.state.Load()&targetLeft != 0 {
			if t.plan.Once {
				e.heldOnce -= legsOf(t.plan)
			}
			e.forget(n, t, l.shared)
			delete(e.leaving, n)
		}
	}
	gone := false
	for n, r := range e.retired {
		if now.After(r.until) && !e.busy(e.flows.at(n)) {
			delete(e.retired, n)
			e.dead[n] = math.MaxInt64 // until the index is without it
			gone = true
		}
	}
	if !gone {
		return
	}
	e.index.Store(e.reindex(0))
	unfound := e.clock.now()
	for n, since := range e.dead {
		e.dead[n] = min(since, unfound)
	}
	e.retry(func(bool) bool { return true }) // what was in their way may be gone
}

// retry binds those targets again that wait for a flow, and that are wanted:
// soon says whether what is in their way has no users.
func (e *Engine) retry(wanted func(soon bool) bool) {
	var again []uint32
	for n, soon := range e.waiting {
		if wanted(soon) {
			again = append(again, n)
			delete(e.waiting, n)
		}
	}
	for _, n := range again {
		if t := e.targets.at(n); t.plan != nil && !t.gone() {
			e.bindFitting(e.Link, n)
		}
	}
	if err := e.publish(); err != nil {
		e.Log.Error("cannot update the XDP program", "error", err)
	}
}

// retrySoon binds targets whose way is free as soon as the last probes of
// others are over.
func (e *Engine) retrySoon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, soon := range e.waiting {
		if soon {
			e.retry(func(soon bool) bool { return soon })
			return
		}
	}
}

// busy says whether a flow still has a probe to be counted.
func (e *Engine) busy(f *flow) bool {
	for n := range uint32(1) << f.bits {
		if e.slots.at(f.slots.Load() + n).busy() {
			return true
		}
	}
	return false
}

// leaving is a removed target.
type leaving struct {
	at     time.Time // when it may be forgotten
	since  int64     // ns
	shared []uint32  // flows that others still use, whose slots may name its legs
}

// leave notes that a target was removed.
func (e *Engine) leave(n uint32, t *target) {
	e.countBlocks(n, -1)
	l := leaving{since: e.clock.now(), at: time.Now().Add(2*resting + time.Duration(e.longest.Load()))} // after its flows
	if t.plan.Once {
		// No scrape reads it, and it shares no flow. What is under way is over by then.
		l.at = time.Now().Add(restingOnce + t.plan.Timeout)
		e.unbindAll(n, t)
		e.leaving[n] = l
		return
	}
	e.eachLeg(t, func(leg uint32) {
		if flow, _ := e.legs.at(leg).way(); flow != 0 && e.flows.at(flow).users > 1 {
			l.shared = append(l.shared, flow)
		}
	})
	e.unbindAll(n, t)
	e.leaving[n] = l
}

// unbindAll takes the flows of all legs of a target away.
func (e *Engine) unbindAll(n uint32, t *target) {
	e.eachLeg(t, func(leg uint32) { e.drop(leg, result.NoRoute) })
	delete(e.waiting, n)
}

func (e *Engine) eachLeg(t *target, do func(leg uint32)) {
	for g := range t.plan.Groups {
		s := e.series.at(t.series + uint32(g))
		for i := range len(t.plan.Addrs) * len(t.plan.Groups[g].Sources) {
			do(s.legs + uint32(i))
		}
	}
}

// forget gives the numbers of a target back.
func (e *Engine) forget(n uint32, t *target, shared []uint32) {
	for _, flow := range shared {
		f := e.flows.at(flow)
		for i := range uint32(1) << f.bits {
			sl := e.slots.at(f.slots.Load() + i)
			word := sl.word.Load()
			if !sl.busy() && e.targets.at(e.series.at(e.legs.at(sl.leg.Load()).series).target) == t {
				sl.word.CompareAndSwap(word, wordOf(genOf(word), free, 0))
			}
		}
	}
	for g := range t.plan.Groups {
		s := e.series.at(t.series + uint32(g))
		legs := uint32(len(t.plan.Addrs) * len(t.plan.Groups[g].Sources))
		for l := range legs {
			e.histories.give(e.legs.at(s.legs+l).long, 1)
		}
		e.legs.give(s.legs, legs)
	}
	for g := range t.plan.Groups {
		delete(e.renamed, t.series+uint32(g))
	}
	e.series.give(t.series, uint32(len(t.plan.Groups)))
	e.targets.give(n, 1)
	delete(e.moved, n)
}

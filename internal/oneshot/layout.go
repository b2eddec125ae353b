// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"math"
	"net/netip"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
)

// Layout is which addresses are probed, in what order and at what pace. Immutable
// once Pace returned.
type Layout struct {
	Addrs []netip.Addr
	Of    []int // the target of each
	req   *Request

	Rate float64       // probes/s at the most
	Each time.Duration // between two probes to one address
	step int           // from one address to the next in order
	room int           // addresses of a chunk
	port []uint16      // to send from, in turn
}

// Lay lists the addresses of a request. Those of names are given; a target that
// has none is left out.
func (r *Request) Lay(named map[int]netip.Addr) *Layout {
	l := &Layout{req: r}
	add := func(target int, a netip.Addr) {
		l.Addrs, l.Of = append(l.Addrs, a), append(l.Of, target)
	}
	for i := range r.Targets {
		switch {
		case r.spans[i].IsValid():
			for a := r.spans[i].Addr(); r.spans[i].Contains(a); a = a.Next() {
				add(i, a)
			}
		case len(r.addrs[i]) == 1:
			add(i, r.addrs[i][0])
		default:
			if _, name := r.names[i]; name {
				if a, ok := named[i]; ok {
					r.shapes[i].Family = familyOf(a)
					add(i, a)
				}
				continue
			}
			for n := range r.ranges[i].Size() {
				add(i, r.ranges[i].At(n))
			}
		}
	}
	// Few are probed in the order they were named in. Of many, probes that follow one
	// another go far apart, so that each network gets its share at all times.
	n := len(l.Addrs)
	l.step = 1
	if n > 16 {
		for l.step = int(float64(n) * 0.6180339887); gcd(l.step, n) != 1; l.step++ {
		}
	}
	return l
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Probes is how many there will be.
func (l *Layout) Probes() uint64 { return uint64(len(l.Addrs)) * uint64(l.req.Count) }

// Blocks counts the addresses in each prefix that safety.max_prefix_pps speaks of.
func (l *Layout) Blocks() map[netip.Prefix]int {
	blocks := map[netip.Prefix]int{}
	for _, a := range l.Addrs {
		blocks[plan.Block(a)]++
	}
	return blocks
}

// chunkPaths is how many paths are under way at once.
const chunkPaths = 1 << 16

// Demand is how many probes per second are asked for; 0: as many as may be.
func (l *Layout) Demand() float64 {
	interval := l.req.Interval.Seconds()
	if l.req.Count == 1 || interval == 0 {
		return l.req.Rate
	}
	asked := float64(min(len(l.Addrs), chunkPaths)) / interval
	if l.req.Rate > 0 {
		return min(asked, l.req.Rate)
	}
	return asked
}

// maxPorts bounds the source ports that are taken where nobody says which.
const maxPorts = 1000

// PortsWanted is how many source ports it takes so that none is needed again while
// an answer to it may still come.
func (l *Layout) ports() int {
	longest := time.Duration(0)
	for _, t := range l.Of {
		if s := &l.req.shapes[t]; s.Type.SourcePorts {
			longest = max(longest, s.Timeout+50*time.Millisecond)
		}
	}
	if longest == 0 || l.Each == 0 {
		return 1
	}
	return min(l.req.Count, maxPorts, int(longest/l.Each)+2)
}

// Pace lays out the time, for a rate in probes/s: so many probes to all addresses
// together. Ports returns so many source ports, where the request names none.
func (l *Layout) Pace(rate float64, ports func(n int) []uint16) {
	l.Rate, l.room = rate, max(1, min(len(l.Addrs), chunkPaths))
	for range 3 {
		l.Each = time.Duration(math.Ceil(float64(l.room) / rate * float64(time.Second)))
		if l.req.Count > 1 {
			l.Each = max(l.Each, l.req.Interval)
		}
		l.room = max(1, min(len(l.Addrs), chunkPaths/l.ports()))
	}
	l.Each = max(l.Each, time.Duration(float64(l.room)/rate*float64(time.Second)))
	if p := l.req.SourcePorts; len(p) == 2 {
		for n := range min(l.req.Count, int(p[1]-p[0])+1) {
			l.port = append(l.port, p[0]+uint16(n))
		}
		return
	}
	l.port = ports(l.ports())
}

// Piece is one target of the engine, and which addresses of the layout it probes.
type Piece struct {
	*plan.Target
	Addr []int
}

// pieceLen bounds the addresses of a piece: one worker probes it.
const pieceLen = 4096

// Chunks is how many there are.
func (l *Layout) Chunks() int { return (len(l.Addrs) + l.room - 1) / max(1, l.room) }

// Lasts is how long it takes to send a chunk.
func (l *Layout) Lasts(chunk int) time.Duration {
	return time.Duration(float64(l.Each) * (float64(l.req.Count-1) + float64(l.size(chunk))/float64(l.room)))
}

func (l *Layout) size(chunk int) int { return min(l.room, len(l.Addrs)-chunk*l.room) }

// Chunk lays out one chunk; by tells apart addresses that are probed by different
// engines.
func (l *Layout) Chunk(chunk int, by func(netip.Addr) int) map[int][]*Piece {
	type key struct {
		shape Shape
		by    int
		part  int
	}
	n := l.size(chunk)
	parts := (n + pieceLen - 1) / pieceLen
	pieces := map[key]*Piece{}
	out := map[int][]*Piece{}
	groups := map[Shape][]plan.Group{}
	for slot := range n {
		at := int(int64(chunk*l.room+slot) * int64(l.step) % int64(len(l.Addrs)))
		k := key{l.req.shapes[l.Of[at]], by(l.Addrs[at]), slot % parts}
		p := pieces[k]
		if p == nil {
			if groups[k.shape] == nil {
				groups[k.shape] = []plan.Group{l.group(&k.shape)}
			}
			p = &Piece{Target: &plan.Target{
				Name: "one-shot probe", Type: k.shape.Type, Family: k.shape.Family, State: "None", DstPort: k.shape.Port,
				DontFragment: k.shape.DontFragment, Timeout: k.shape.Timeout, Once: true, Groups: groups[k.shape],
				Phase: time.Duration(float64(l.Each) * float64(slot) / float64(l.room)),
			}}
			pieces[k] = p
			out[k.by] = append(out[k.by], p)
		}
		p.Addrs, p.Addr = append(p.Addrs, l.Addrs[at]), append(p.Addr, at)
	}
	for _, p := range pieces {
		p.Gap = l.Each / time.Duration(len(p.Addrs))
	}
	return out
}

func (l *Layout) group(s *Shape) plan.Group {
	g := plan.Group{Name: "probe", DSCP: l.req.DSCP, NbPackets: l.req.Count, PayloadLen: max(s.Size-s.Type.HeaderLen, s.Type.MinPayload)}
	ports := l.port
	if !s.Type.SourcePorts || len(ports) == 0 {
		ports = []uint16{0}
	}
	for i, port := range ports {
		g.Sources, g.Order = append(g.Sources, plan.Source{Port: port}), append(g.Order, uint32(i))
	}
	return g
}

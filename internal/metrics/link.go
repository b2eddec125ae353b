// SPDX-License-Identifier: Apache-2.0

package metrics

// The families of an interface.
var (
	xdpModeInfo    = family{"netprobe_xdp_mode_info", gauge, "The mode of the XDP program, native or generic, and the way the sockets are bound, copy or zerocopy."}
	receiveClock   = family{"netprobe_receive_clock_info", gauge, "Who takes the time at which an answer comes in: xdp is the kernel's clock, read by the XDP program."}
	steered        = family{"netprobe_steered_total", counter, "Replies that the XDP program handed to our socket."}
	passed         = family{"netprobe_passed_total", counter, "Packets that the XDP program left to the host."}
	passedByReason = family{"netprobe_passed_by_reason_total", counter, "Packets that the XDP program left to the host, by reason."}
	ringDropped    = family{"netprobe_ring_dropped_total", counter, "Replies lost on our own side: the receive ring was full (rx) or the fill ring empty (fill)."}
	foreign        = family{"netprobe_foreign_total", counter, "Packets that reached our socket and answer no probe."}
	clockFaults    = family{"netprobe_clock_faults_total", counter, "Answers received before their probe was sent; they have no round trip."}
	scheduleLag    = family{"netprobe_schedule_lag_seconds", gauge, "The most that a probe left later than planned in the last 15 to 30 seconds."}
)

// links renders what XDP programs and sockets count.
func (p *page) links(links []Link) {
	e := &p.enc
	e.family(xdpModeInfo)
	for i := range links {
		e.begin(xdpModeInfo.name)
		e.label("interface", links[i].Interface)
		e.label("mode", links[i].Mode)
		e.label("bind", links[i].Bind)
		e.uint(1)
	}
	e.family(receiveClock)
	for i := range links {
		e.begin(receiveClock.name)
		e.label("interface", links[i].Interface)
		e.label("clock", links[i].ReceiveClock)
		e.uint(1)
	}
	e.family(scheduleLag)
	for i := range links {
		e.begin(scheduleLag.name)
		e.label("interface", links[i].Interface)
		e.float(seconds(links[i].ScheduleLag))
	}
	p.perLink(foreign, links, func(l *Link) uint64 { return l.Foreign })
	p.perLink(clockFaults, links, func(l *Link) uint64 { return l.ClockFaults })
	p.queues(steered, links, func(q *Queue) uint64 { return q.Steered })
	p.queues(passed, links, func(q *Queue) uint64 { return q.Passed })
	e.family(passedByReason)
	for i := range links {
		for _, r := range links[i].PassedReasons {
			e.begin(passedByReason.name)
			e.label("interface", links[i].Interface)
			e.label("reason", r.Reason)
			e.uint(r.Count)
		}
	}
	e.family(ringDropped)
	for i := range links {
		for q := range links[i].Queues {
			queue := &links[i].Queues[q]
			p.beginQueue(ringDropped.name, &links[i], queue)
			e.label("ring", "rx")
			e.uint(queue.RxRingFull)
			p.beginQueue(ringDropped.name, &links[i], queue)
			e.label("ring", "fill")
			e.uint(queue.FillRingEmpty)
		}
	}
}

func (p *page) perLink(f family, links []Link, value func(*Link) uint64) {
	p.enc.family(f)
	for i := range links {
		p.enc.begin(f.name)
		p.enc.label("interface", links[i].Interface)
		p.enc.uint(value(&links[i]))
	}
}

func (p *page) queues(f family, links []Link, value func(*Queue) uint64) {
	p.enc.family(f)
	for i := range links {
		for q := range links[i].Queues {
			p.beginQueue(f.name, &links[i], &links[i].Queues[q])
			p.enc.uint(value(&links[i].Queues[q]))
		}
	}
}

func (p *page) beginQueue(name string, l *Link, q *Queue) {
	p.enc.begin(name)
	p.enc.label("interface", l.Interface)
	p.enc.labelInt("queue", q.ID)
}

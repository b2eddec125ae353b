// SPDX-License-Identifier: Apache-2.0

package metrics

// Push is what became of the pages that are pushed.
type Push struct {
	Active    bool   // there is somewhere to push to: without it nothing is shown
	Delivered uint64 // pages
	Failed    uint64 // attempts whose page is tried again
	Full      uint64 // pages dropped because too many waited
	Refused   uint64 // pages dropped because the server will not have them
	Pages     int    // waiting
	Bytes     int    // that these take
}

// The families of pushing.
var (
	pushDelivered    = family{"netprobe_push_delivered_total", counter, "Pages that were pushed."}
	pushFailed       = family{"netprobe_push_failed_total", counter, "Attempts to push a page that failed; the page is tried again."}
	pushDropped      = family{"netprobe_push_dropped_total", counter, "Pages that were never delivered, by reason: push.buffer was full, or the server refused them."}
	pushWaiting      = family{"netprobe_push_waiting_pages", gauge, "Pages that wait to be pushed."}
	pushWaitingBytes = family{"netprobe_push_waiting_bytes", gauge, "Memory that pages take while they wait to be pushed."}
)

// pushes renders what became of pushing.
func (p *page) pushes(s Push) {
	e := &p.enc
	for _, f := range []struct {
		family
		value uint64
	}{
		{pushDelivered, s.Delivered}, {pushFailed, s.Failed}, {pushWaiting, uint64(s.Pages)}, {pushWaitingBytes, uint64(s.Bytes)},
	} {
		e.family(f.family)
		if s.Active {
			e.begin(f.name)
			e.uint(f.value)
		}
	}
	e.family(pushDropped)
	if !s.Active {
		return
	}
	for _, r := range []struct {
		reason string
		value  uint64
	}{{"buffer_full", s.Full}, {"refused", s.Refused}} {
		e.begin(pushDropped.name)
		e.label("reason", r.reason)
		e.uint(r.value)
	}
}

// SPDX-License-Identifier: Apache-2.0

package result

import "sync/atomic"

// errorKinds is how many kinds of ICMP errors a series tells apart. A path
// answers with one or two; what comes beyond counts with the last.
const errorKinds = 4

// ICMPErrors is how often one kind of ICMP error came.
type ICMPErrors struct {
	Type, Code uint8
	Count      uint64
}

// icmpErrors counts one kind. Any goroutine may use it.
type icmpErrors struct {
	kind  atomic.Uint32 // 1<<16 | type<<8 | code; 0: unused
	count atomic.Uint64
}

// ICMPError counts an ICMP error that quotes one of our probes and is no
// answer. Any worker may call it.
func (s *Series) ICMPError(typ, code uint8) {
	kind := 1<<16 | uint32(typ)<<8 | uint32(code)
	to := &s.uncommon().icmpErrors
	for i := range to {
		e := &to[i]
		if e.kind.Load() == kind || e.kind.CompareAndSwap(0, kind) || e.kind.Load() == kind || i == errorKinds-1 {
			e.count.Add(1)
			return
		}
	}
}

func (e *icmpErrors) read() ICMPErrors {
	kind := e.kind.Load()
	return ICMPErrors{Type: uint8(kind >> 8), Code: uint8(kind), Count: e.count.Load()}
}

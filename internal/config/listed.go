// SPDX-License-Identifier: Apache-2.0

package config

import (
	"sort"
	"sync/atomic"
)

// listed knows where each target of an inventory was read. Such targets come in
// millions and stand one to a line, so only the lines at which the counting
// starts anew are kept. Any goroutine may call find.
type listed struct {
	first int // index in Config.Targets of the first target of an inventory
	runs  []run
	files []string
	last  atomic.Int64 // what find found: faults are made in the order of targets
}

// run is targets of one file on consecutive lines, up to the next run.
type run struct{ target, line, file int32 }

// add notes that the target with this index stands on this line of the last of
// files.
func (l *listed) add(target, line int) {
	file := len(l.files) - 1
	if n := len(l.runs); n > 0 {
		if r := l.runs[n-1]; int(r.file) == file && target-int(r.target) == line-int(r.line) {
			return
		}
	}
	l.runs = append(l.runs, run{int32(target), int32(line), int32(file)})
}

// at returns where the target with this index was read.
func (l *listed) at(target int) (file string, line int) {
	r := l.runs[sort.Search(len(l.runs), func(i int) bool { return int(l.runs[i].target) > target })-1]
	return l.files[r.file], int(r.line) + target - int(r.target)
}

// find returns where the target that a key is of was read. It looks at every
// name, beginning with the one it found last.
func (l *listed) find(targets []Target, key []string) (file string, line int, ok bool) {
	if l == nil || len(key) < 2 || key[0] != "targets" {
		return "", 0, false
	}
	from, n := int(l.last.Load()), len(targets)-l.first
	for i := range n {
		at := l.first + (from+i)%n
		if targets[at].Name == key[1] {
			l.last.Store(int64(at - l.first))
			file, line = l.at(at)
			return file, line, true
		}
	}
	return "", 0, false
}

// SPDX-License-Identifier: Apache-2.0

package config

import (
	"sort"
	"sync/atomic"
)

// listed knows which targets are of inventories, and where each was read. Any
// goroutine may call find.
type listed struct {
	first  int // index in Config.Targets of the first target of an inventory
	lists  []*TargetList
	firsts []int        // index in Config.Targets of the first target of each list
	last   atomic.Int64 // what find found: faults are made in the order of targets
}

// run is targets of a list on consecutive lines, up to the next run. Targets
// come in millions and stand one to a line, so only the lines at which the
// counting starts anew are kept.
type run struct{ target, line int32 }

// add notes that the target with this index in the list stands on this line.
func (l *TargetList) add(target, line int) {
	if n := len(l.lines); n > 0 {
		if r := l.lines[n-1]; target-int(r.target) == line-int(r.line) {
			return
		}
	}
	l.lines = append(l.lines, run{int32(target), int32(line)})
}

// line returns where the target with this index in the list was read.
func (l *TargetList) line(target int) int {
	r := l.lines[sort.Search(len(l.lines), func(i int) bool { return int(l.lines[i].target) > target })-1]
	return int(r.line) + target - int(r.target)
}

// at returns where the target with this index in Config.Targets was read.
func (l *listed) at(target int) (file string, line int) {
	i := l.number(target)
	return l.lists[i].from, l.lists[i].line(target - l.firsts[i])
}

// of returns the list of the target with this index in Config.Targets.
func (l *listed) of(target int) *TargetList { return l.lists[l.number(target)] }

func (l *listed) number(target int) int {
	return sort.Search(len(l.firsts), func(i int) bool { return l.firsts[i] > target }) - 1
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

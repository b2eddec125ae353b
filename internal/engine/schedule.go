// SPDX-License-Identifier: Apache-2.0

package engine

// schedule is a binary heap of targets by when their next probe is due. Only
// its worker uses it.
type schedule struct {
	due     []int64 // ns
	targets []uint32
}

// next returns the target that is due first, and when.
func (s *schedule) next() (target uint32, due int64, ok bool) {
	if len(s.due) == 0 {
		return 0, 0, false
	}
	return s.targets[0], s.due[0], true
}

// grow makes room for more targets, no more than they need.
func (s *schedule) grow(targets int) {
	if room := len(s.due) + targets; room > cap(s.due) {
		s.due = append(make([]int64, 0, room), s.due...)
		s.targets = append(make([]uint32, 0, room), s.targets...)
	}
}

func (s *schedule) add(target uint32, due int64) {
	s.due = append(s.due, due)
	s.targets = append(s.targets, target)
	i := len(s.due) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s.due[parent] <= s.due[i] {
			break
		}
		s.swap(parent, i)
		i = parent
	}
}

// drop takes the first target out.
func (s *schedule) drop() {
	n := len(s.due) - 1
	s.due[0], s.targets[0] = s.due[n], s.targets[n]
	s.due, s.targets = s.due[:n], s.targets[:n]
	s.down()
}

func (s *schedule) swap(i, j int) {
	s.due[i], s.due[j] = s.due[j], s.due[i]
	s.targets[i], s.targets[j] = s.targets[j], s.targets[i]
}

func (s *schedule) down() {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s.due) {
			return
		}
		if r := child + 1; r < len(s.due) && s.due[r] < s.due[child] {
			child = r
		}
		if s.due[i] <= s.due[child] {
			return
		}
		s.swap(i, child)
		i = child
	}
}

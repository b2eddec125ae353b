// SPDX-License-Identifier: Apache-2.0

package netdev

// askQueue is a heap (container/heap) of neighbours by due time.
type askQueue []*neighbour

func (q askQueue) Len() int           { return len(q) }
func (q askQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q askQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].at, q[j].at = i, j }

// Push is for container/heap.
func (q *askQueue) Push(x any) {
	n := x.(*neighbour)
	n.at = len(*q)
	*q = append(*q, n)
}

// Pop is for container/heap.
func (q *askQueue) Pop() any {
	old := *q
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return n
}

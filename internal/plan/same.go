// SPDX-License-Identifier: Apache-2.0

package plan

import "slices"

// Comparer tells whether targets of two plans send the same probes. One
// goroutine uses it; targets that share their groups make it fast.
type Comparer struct {
	same map[[2]*Group]bool // lists of groups, by their first
}

// SameProbes says whether two targets of one name, of plans with the same
// interval, send the same probes at the same times. What is only said of them, their state, is left aside.
func (c *Comparer) SameProbes(a, b *Target) bool {
	return a.Type == b.Type && a.Family == b.Family && a.DstPort == b.DstPort && a.DontFragment == b.DontFragment &&
		a.Timeout == b.Timeout && a.Phase == b.Phase && a.Gap == b.Gap &&
		slices.Equal(a.Addrs, b.Addrs) && c.sameGroups(a.Groups, b.Groups)
}

func (c *Comparer) sameGroups(a, b []Group) bool {
	if len(a) != len(b) || len(a) == 0 || &a[0] == &b[0] {
		return len(a) == len(b)
	}
	key := [2]*Group{&a[0], &b[0]}
	same, known := c.same[key]
	if !known {
		if c.same == nil {
			c.same = map[[2]*Group]bool{}
		}
		same = slices.EqualFunc(a, b, sameGroup)
		c.same[key] = same
	}
	return same
}

func sameGroup(a, b Group) bool {
	return a.Name == b.Name && a.DSCP == b.DSCP && a.NbPackets == b.NbPackets && a.PayloadLen == b.PayloadLen &&
		slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Order, b.Order)
}

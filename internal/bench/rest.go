// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

const restPPS = 100

// restWas is what a few probes a second cost.
type restWas struct {
	Share spread `json:"share_of_a_core"`
}

func (r *restWas) table() *table {
	t := &table{title: fmt.Sprintf("%d probes/s, to ten targets", restPPS), note: "To reach: under 3 % of a core.", columns: []string{"share of a core"}}
	t.add(r.Share.show(percent))
	return t
}

func (o *opts) rest(p phases) (*restWas, error) {
	var share []float64
	for range o.rounds {
		each := int(restPPS/10*o.duration.Seconds()) + 1
		s := setting{name: "rest", load: load{Proto: icmp, Targets: 10, PPS: restPPS, Probes: each * 10}}
		got, err := contest(&ours{phases: p}, s, 1)
		if err != nil {
			return nil, err
		}
		share = append(share, got.Rate*got.CPU/1e6)
		progress("rest: %s of a core", percent(share[len(share)-1]))
	}
	return &restWas{spreadOf(share)}, nil
}

// SPDX-License-Identifier: Apache-2.0

package api

// Worst is the answer of GET /worst: addresses of targets that answered worst in
// their last rounds, worst first.
type Worst struct {
	Addresses []Answers `json:"addresses"`
}

// Answers is how one address answered in its last rounds, from all source ports of
// all groups. Rounds whose answers may still come are left out.
type Answers struct {
	Target    string   `json:"target"`
	Address   string   `json:"address"`
	Sent      uint64   `json:"sent"`
	Answered  uint64   `json:"answered"` // in time
	LossRatio float64  `json:"loss_ratio"`
	RoundTrip *float64 `json:"round_trip_seconds,omitempty"`
}

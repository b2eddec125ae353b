// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The types of an Event. GET /events sends them as server-sent events, whose event
// field is the type and whose data is the Event.
const (
	EventRound     = "round"     // a target completed a round; only with ?rounds=true
	EventTargets   = "targets"   // targets were added, changed, removed, paused or resumed
	EventReload    = "reload"    // the configuration was loaded again, or that failed
	EventInterface = "interface" // an interface went down, away, up or came back
	EventSending   = "sending"   // sending stopped or goes on
	EventMissed    = "missed"    // Missed events were left out because they were not read in time
)

// Event is something that happened to a daemon.
type Event struct {
	Type string    `json:"type"`
	Time time.Time `json:"time"`
	Text string    `json:"text"` // for a person

	Target   string    `json:"target,omitempty"` // of a round
	Group    string    `json:"group,omitempty"`
	Round    *Round    `json:"round,omitempty"`
	Reloaded *Reloaded `json:"reloaded,omitempty"`
	Missed   uint64    `json:"missed,omitempty"`
}

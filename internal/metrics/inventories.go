// SPDX-License-Identifier: Apache-2.0

package metrics

import "time"

// Inventory is what is shown of a list of targets that somebody else keeps.
type Inventory struct {
	Name        string
	Targets     int       // of its list that are part of the configuration
	LastSuccess time.Time // when its list was last known to be right; zero: never
	Failures    uint64
}

var (
	inventoryTargets  = family{"netprobe_inventory_targets", gauge, "Targets of the inventory's last good list; bad ones, and those whose name another target has, are left out."}
	inventorySuccess  = family{"netprobe_inventory_last_success_timestamp_seconds", gauge, "When the inventory's list was last got and carried out, or found to be the same; 0 until then."}
	inventoryFailures = family{"netprobe_inventory_failures_total", counter, "Times that the inventory's list could not be got or carried out; the last good one stays."}
)

// inventories renders the state of the inventories.
func (p *page) inventories(all []Inventory) {
	e := &p.enc
	each := func(f family, value func(*Inventory)) {
		e.family(f)
		for i := range all {
			e.begin(f.name)
			e.label("inventory", all[i].Name)
			value(&all[i])
		}
	}
	each(inventoryTargets, func(v *Inventory) { e.uint(uint64(v.Targets)) })
	each(inventorySuccess, func(v *Inventory) {
		if v.LastSuccess.IsZero() {
			e.uint(0)
			return
		}
		e.float(float64(v.LastSuccess.UnixMilli()) / 1e3)
	})
	each(inventoryFailures, func(v *Inventory) { e.uint(v.Failures) })
}

// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"bytes"

	vm "github.com/VictoriaMetrics/metrics"
)

// render writes the whole page, families in a fixed order.
func (x *Exposition) render(p *page) {
	p.enc.family(netprobifyInfo)
	p.enc.begin(netprobifyInfo.name)
	p.enc.label("version", x.opt.Version)
	p.enc.label("scapy_version", "")
	p.enc.uint(1)

	for i := range x.families {
		p.measurements(&x.families[i])
		p.mismatches(&x.families[i])
	}
	p.outOfOrder()
	p.thresholds()
	p.resolutions()
	p.program(x.opt.App)

	p.ownCounters()
	p.ownRounds()
	p.histograms()
	p.infos(x.opt.Version, x.opt.Revision)
	if x.opt.Links != nil {
		p.links(x.opt.Links())
	}
	var pushed Push
	if x.opt.Push != nil {
		pushed = x.opt.Push()
	}
	p.pushes(pushed)
	if x.opt.Inventories != nil {
		p.inventories(x.opt.Inventories())
	}
	p.ofProcess()
}

// processFamilies are the families of the process that netprobify shows too.
// The library knows their values but no help text, and has further ones whose
// type and name disagree: those are left out.
var processFamilies = []family{
	{"process_cpu_seconds_total", counter, "Total user and system CPU time spent in seconds."},
	{"process_max_fds", gauge, "Maximum number of open file descriptors."},
	{"process_open_fds", gauge, "Number of open file descriptors."},
	{"process_resident_memory_bytes", gauge, "Resident memory size in bytes."},
	{"process_start_time_seconds", gauge, "Start time of the process since unix epoch in seconds."},
	{"process_virtual_memory_bytes", gauge, "Virtual memory size in bytes."},
}

// ofProcess renders the process_* families.
func (p *page) ofProcess() {
	p.process.Reset()
	vm.WriteProcessMetrics(&p.process)
	vm.WriteFDMetrics(&p.process)
	for line := range bytes.Lines(p.process.Bytes()) {
		name, _, _ := bytes.Cut(line, []byte(" "))
		for _, f := range processFamilies {
			if f.name == string(name) {
				p.enc.family(f)
				p.enc.buf = append(p.enc.buf, line...)
			}
		}
	}
}

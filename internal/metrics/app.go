// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"slices"
	"time"
)

// netprobify's families beside the measurements, and one of ours.
var (
	netprobifyInfo   = family{"netprobify_info", gauge, "some info regarding netprobify"}
	threshold        = family{"threshold", gauge, "threshold for alerting systems."}
	resolutionStatus = family{"app_host_resolution_status", gauge, "hostname resolution status."}
	resolutionChange = family{"app_host_resolution_change_total", counter, "number of hostname resolution change."}
	resolutionTook   = family{"app_host_resolution_duration", gauge, "hostname resolution duration."}
	timeOutOfOrder   = family{"app_time_ooo_total", counter, "number of out of order - timestamp issue."}
	nameRepeated     = family{"app_target_name_dup_total", counter, "number of target name duplicated."}
	iterationTime    = family{"app_iteration_time_seconds", gauge, "time to finish one round of probing."}
	processTimedOut  = family{"app_process_timed_out_total", counter, "a process was taking too long and had timed out."}
	reloadFailed     = family{"app_reload_conf_failed_status", gauge, "failed to load the configuration file."}
	stopped          = family{"netprobe_stopped", gauge, "1 while all sending is stopped: safety.kill_file is there, or the control API was asked to."}
)

// appSeries is how many time series thresholds and resolution of t are.
func appSeries(t *Target) int {
	n := 0
	if t.ThresholdLoss != nil {
		n += len(t.Groups)
	}
	if t.ThresholdLatency != nil {
		n += len(t.Groups)
	}
	if t.Resolution != ResolutionPending {
		n += 2
	}
	if asked(t) {
		n++
	}
	return n
}

// asked says whether a question for the target's name was answered or failed.
func asked(t *Target) bool { return t.ResolutionTook != nil && t.ResolutionTook.Load() > 0 }

// thresholds renders the configured thresholds, for alert rules to compare
// with.
func (p *page) thresholds() {
	p.enc.family(threshold)
	for _, t := range p.targets[:p.app] {
		for _, group := range t.Groups {
			if t.ThresholdLatency != nil {
				p.threshold(t, group, "latency", *t.ThresholdLatency)
			}
			if t.ThresholdLoss != nil {
				p.threshold(t, group, "loss", *t.ThresholdLoss)
			}
		}
	}
}

func (p *page) threshold(t *Target, group, kind string, v float64) {
	p.beginTarget(threshold.name, t)
	e := &p.enc
	e.label("type", kind)
	e.label("state", stateLabel(t.State))
	e.label("alert_level", t.AlertLevel)
	e.label("group", group)
	e.float(v)
}

// resolutions renders what became of the targets' names.
func (p *page) resolutions() {
	e := &p.enc
	e.family(resolutionStatus)
	for _, t := range p.targets[:p.app] {
		if t.Resolution != ResolutionPending {
			p.beginTarget(resolutionStatus.name, t)
			e.uint(oneIf(t.Resolution == Resolved))
		}
	}
	e.family(resolutionChange)
	for _, t := range p.targets[:p.app] {
		if t.Resolution != ResolutionPending {
			p.beginTarget(resolutionChange.name, t)
			e.uint(t.ResolutionChanges)
		}
	}
	e.family(resolutionTook)
	for _, t := range p.targets[:p.app] {
		if asked(t) {
			p.beginTarget(resolutionTook.name, t)
			e.float(seconds(time.Duration(t.ResolutionTook.Load())))
		}
	}
}

// program renders the state of the program itself.
func (p *page) program(app *App) {
	e := &p.enc
	e.family(iterationTime)
	if ns := app.iteration.Load(); ns > 0 {
		p.beginProbe(iterationTime.name)
		e.float(float64(ns-1) / 1e9)
	}
	e.family(nameRepeated)
	repeated := app.names()
	for _, name := range slices.Sorted(maps.Keys(repeated)) {
		e.begin(nameRepeated.name)
		e.label("target_name", name)
		e.uint(repeated[name])
	}
	// There are no probing processes that could time out; the series stays for
	// the alerts that name it.
	e.family(processTimedOut)
	p.beginProbe(processTimedOut.name)
	e.uint(0)

	e.family(reloadFailed)
	p.beginProbe(reloadFailed.name)
	e.uint(oneIf(app.ReloadFailed.Load()))

	e.family(stopped)
	p.beginProbe(stopped.name)
	e.uint(oneIf(app.Stopped.Load()))
}

func (p *page) beginProbe(name string) {
	p.enc.begin(name)
	p.enc.label("probe_name", p.probeName)
}

// beginTarget starts a sample with the three labels of a target.
func (p *page) beginTarget(name string, t *Target) {
	p.beginProbe(name)
	p.enc.label("destination", t.Destination)
	p.enc.label("address_family", t.Family)
}

func oneIf(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

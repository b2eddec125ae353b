// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/resolve"
)

// configure reads the configuration, or makes one of the gateways and
// resolvers.
func (p *prober) configure() error {
	o := config.Options{File: p.Config, Settings: p.Settings, Env: os.Environ(), Flags: p.Flags}
	var err error
	if o.File == "" && config.Search() == "" {
		p.cfg, err = p.defaults(o)
	} else {
		p.cfg, err = config.Load(o)
	}
	if err != nil {
		return err
	}
	if err := p.pinnable(); err != nil {
		return err
	}
	if p.Level != nil {
		p.Level.Set(levels[p.cfg.Global.LoggingLevel])
	}
	for _, n := range p.cfg.Notices {
		p.Log.Info(n)
	}
	for _, w := range p.cfg.Warnings {
		p.Log.Warn(w.String())
	}
	return nil
}

// levels are netprobify's names for log levels.
var levels = map[string]slog.Level{
	"NOTSET": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARNING": slog.LevelWarn, "ERROR": slog.LevelError, "CRITICAL": slog.LevelError + 4,
}

// defaults is the configuration without a file: the gateways of the interfaces
// and those upstream resolvers that are reached through them.
func (p *prober) defaults(o config.Options) (*config.Config, error) {
	d := config.Defaults{Options: o}
	var err error
	if d.Hostname, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the host name: %w", err)
	}
	for _, port := range p.ports {
		gateways, err := port.link.Gateways()
		if err != nil {
			return nil, err
		}
		d.Gateways = append(d.Gateways, gateways...)
	}
	resolvers, err := resolve.Upstream()
	if err != nil {
		p.Log.Warn("cannot find the system's resolvers; they are not pinged", "error", err)
	}
	for _, r := range resolvers {
		if _, err := p.portFor(r, netip.Addr{}); err != nil {
			p.Log.Info("resolver is not pinged", "address", r, "reason", err)
			continue
		}
		d.Resolvers = append(d.Resolvers, r)
	}
	if len(d.Gateways)+len(d.Resolvers) == 0 {
		return nil, exitcode.With(exitcode.Unavailable, fmt.Errorf("nothing to probe: no configuration, and %s has neither a default gateway nor a resolver behind it; name targets with --config", p.ifaces()))
	}
	return config.Default(d)
}

// histogram says whether a target's round trips are kept as a histogram.
func (p *prober) histogram(target string) bool {
	names := p.cfg.Metrics.Histograms
	return slices.Contains(names, target) || len(names) == 1 && names[0] == config.AllHistograms
}

// pinnable says whether the CPUs for the workers are there.
func (p *prober) pinnable() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the CPUs of this process: %w", err)
	}
	for _, cpu := range p.cfg.Engine.Pinning {
		if !allowed.IsSet(cpu) {
			return exitcode.With(exitcode.Config, config.Faults{p.cfg.Fault(
				fmt.Sprintf("read CPU %d, which this process may not use", cpu),
				fmt.Sprintf("allowed: the %d CPUs of its affinity mask; see taskset -p", allowed.Count()), "engine", "pinning")})
		}
	}
	return nil
}

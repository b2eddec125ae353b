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
	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
)

// configure reads the configuration for the first time.
func (p *prober) configure() (err error) {
	p.loaded = p.fingerprint()
	if p.cfg, err = p.load(); err != nil {
		return err
	}
	p.started = p.cfg
	p.current.Store(p.cfg)
	p.heed(p.cfg, nil)
	return nil
}

// load reads the configuration, or makes one of the gateways and resolvers.
func (p *prober) load() (cfg *config.Config, err error) {
	o := config.Options{File: p.Config, Settings: p.Settings, Env: os.Environ(), Flags: p.Flags}
	if p.byDefault() {
		cfg, err = p.defaults(o)
	} else {
		cfg, err = config.Load(o)
	}
	if err != nil {
		return nil, err
	}
	doubts, err := web.Judge(cfg, web.CredentialsFromEnv())
	if err != nil {
		return nil, err
	}
	cfg.Warn(doubts...)
	return cfg, pinnable(cfg)
}

// byDefault says whether there is no configuration file.
func (p *prober) byDefault() bool { return p.Config == "" && config.Search() == "" }

// heed logs as a configuration asks for, and what there is to say of it and of
// its plan.
func (p *prober) heed(cfg *config.Config, planned []config.Fault) {
	if p.Level != nil {
		p.Level.Set(levels[cfg.Global.LoggingLevel])
	}
	said := p.said
	p.said = map[string]bool{} // what is not said this time is news when it comes back
	say := func(log func(string, ...any), text string) {
		if !said[text] {
			log(text)
		}
		p.said[text] = true
	}
	for _, n := range cfg.Notices {
		say(p.Log.Info, n)
	}
	for _, w := range cfg.Warnings {
		say(p.Log.Warn, w.String())
	}
	for _, w := range slices.Concat(p.started.NeedsRestart(cfg), planned) {
		say(p.Log.Warn, w.String())
	}
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
		if _, err := p.ports.leaving(r, netip.Addr{}, false); err != nil {
			p.Log.Info("resolver is not pinged", "address", r, "reason", err)
			continue
		}
		d.Resolvers = append(d.Resolvers, r)
	}
	if len(d.Gateways)+len(d.Resolvers) == 0 {
		return nil, exitcode.With(exitcode.Unavailable, fmt.Errorf("nothing to probe: no configuration, and %s has neither a default gateway nor a resolver behind it; name targets with --config", p.ports))
	}
	return config.Default(d)
}

// histogram says whether a target's round trips are kept as a histogram.
func (p *prober) histogram(target string) bool { return histogram(p.cfg, target) }

func histogram(cfg *config.Config, target string) bool {
	names := cfg.Metrics.Histograms
	return slices.Contains(names, target) || len(names) == 1 && names[0] == config.AllHistograms
}

// pinnable says whether the CPUs for the workers are there.
func pinnable(cfg *config.Config) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the CPUs of this process: %w", err)
	}
	for _, cpu := range cfg.Engine.Pinning {
		if !allowed.IsSet(cpu) {
			return exitcode.With(exitcode.Config, config.Faults{cfg.Fault(
				fmt.Sprintf("read CPU %d, which this process may not use", cpu),
				fmt.Sprintf("allowed: the %d CPUs of its affinity mask; see taskset -p", allowed.Count()), "engine", "pinning")})
		}
	}
	return nil
}

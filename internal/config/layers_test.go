// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	fs.String("xdp-mode", "auto", "")
	fs.String("bind", "copy", "")
	fs.StringArray("iface", nil, "") // a flag that is no setting
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// File, then environment, then flags.
func TestPrecedence(t *testing.T) {
	file := filepath.Join("testdata", "valid", "no-targets.yml") // xdp_mode generic, bind auto
	for _, tt := range []struct {
		name       string
		env, args  []string
		mode, bind string
	}{
		{"file", nil, nil, "generic", "auto"},
		{"environment over file", []string{"NETPROBE_ENGINE__XDP_MODE=native"}, nil, "native", "auto"},
		{"flags over file", nil, []string{"--xdp-mode=auto", "--iface=eth0"}, "auto", "auto"},
		{"flags over environment", []string{"NETPROBE_ENGINE__XDP_MODE=native", "NETPROBE_ENGINE__BIND=zerocopy"}, []string{"--xdp-mode=generic"}, "generic", "zerocopy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, Options{File: file, Env: tt.env, Flags: flags(t, tt.args...)})
			if c.Engine.XDPMode != tt.mode || c.Engine.Bind != tt.bind {
				t.Errorf("got %s, %s, want %s, %s", c.Engine.XDPMode, c.Engine.Bind, tt.mode, tt.bind)
			}
		})
	}
}

// Every kind of value can come from the environment.
func TestEnvironment(t *testing.T) {
	c := mustLoad(t, Options{File: filepath.Join("testdata", "valid", "no-targets.yml"), Env: []string{
		"HOME=/root", "NETPROBES=1",
		"NETPROBE_GLOBAL__PROBE_NAME=017", // text, whatever it looks like
		"NETPROBE_GLOBAL__INTERVAL=60",
		"NETPROBE_GLOBAL__INTERVAL_PACKETS=1e-3",
		"NETPROBE_GLOBAL__PERCENTILE=99, 50",
		"NETPROBE_GLOBAL__DISABLE_DYNAMIC_INVENTORIES=",
		"NETPROBE_GLOBAL__NB_PROC=3",
		"NETPROBE_ENGINE__TICK=3ms",
		"NETPROBE_SAFETY__FOREIGN_SOURCE=false",
		"NETPROBE_SAFETY__ALLOW_RANGES=fe80::1,10.0.0.0/8",
		"NETPROBE_ENGINE__WORKERS=4", "NETPROBE_ENGINE__PINNING=5, 6,7", "NETPROBE_METRICS__HISTOGRAMS=all",
		// What Kubernetes sets for a service called netprobe.
		"NETPROBE_SERVICE_HOST=10.0.0.1", "NETPROBE_PORT_8000_TCP=tcp://10.0.0.1:8000", "NETPROBE_PORT=tcp://10.0.0.1:8000", "NETPROBE_X\x1b=1",
	}})
	if c.Global.ProbeName != "017" || c.Global.Interval != time.Minute || c.Global.IntervalPackets != time.Millisecond || c.Engine.Tick != 3*time.Millisecond || c.Safety.ForeignSource {
		t.Errorf("got %+v %+v %+v", c.Global, c.Engine, c.Safety)
	}
	if diff := cmp.Diff([]int{99, 50}, c.Global.Percentiles); diff != "" {
		t.Error(diff)
	}
	if len(c.Safety.AllowRanges) != 2 || c.Safety.AllowRanges[0].String() != "fe80::1/128" {
		t.Errorf("got %v", c.Safety.AllowRanges)
	}
	if diff := cmp.Diff([]int{5, 6, 7}, c.Engine.Pinning); diff != "" || c.Engine.Workers != 4 {
		t.Errorf("got %+v", c.Engine)
	}
	if diff := cmp.Diff([]string{"all"}, c.Metrics.Histograms); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"accepted and no longer needed: global.nb_proc",
		"ignored in the environment, since variables of ours are NETPROBE_SECTION__KEY: NETPROBE_PORT, NETPROBE_PORT_8000_TCP, NETPROBE_SERVICE_HOST, \"NETPROBE_X\\x1b\"",
	}, c.Notices); diff != "" {
		t.Error(diff)
	}
}

func TestFaultyFlags(t *testing.T) {
	file := filepath.Join("testdata", "valid", "no-targets.yml")
	_, err := Load(Options{File: file, Flags: flags(t, "--xdp-mode=skb", "--bind=\x1b[31m")})
	want := "flags: --bind: read \"\\x1b[31m\"; allowed: copy, zerocopy, auto\n" +
		"flags: --xdp-mode: read \"skb\"; allowed: auto, native, generic"
	if err == nil || err.Error() != want || exitcode.Of(err) != exitcode.Usage {
		t.Errorf("exit code %d\ngot  %v\nwant %s", exitcode.Of(err), err, want)
	}
	var faults Faults
	if !errors.As(err, &faults) {
		t.Errorf("%T is no Faults", err)
	}
}

// The environment may bring what the file has to have.
func TestRequiredFromEnvironment(t *testing.T) {
	file := filepath.Join("testdata", "invalid", "no-global.yaml")
	env := []string{"NETPROBE_GLOBAL__PROBE_NAME=p", "NETPROBE_GLOBAL__INTERVAL=1", "NETPROBE_GLOBAL__LOGGING_LEVEL=INFO",
		"NETPROBE_GLOBAL__PROMETHEUS_PORT=1", "NETPROBE_GLOBAL__DNS_UPDATE_INTERVAL=0"}
	if c := mustLoad(t, Options{File: file, Env: env}); c.Global.ProbeName != "p" {
		t.Errorf("got %+v", c.Global)
	}
	_, err := Load(Options{File: file, Env: env[:4]})
	want := file + ": global.dns_update_interval: missing; required: a whole number of seconds; 0 resolves names once"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

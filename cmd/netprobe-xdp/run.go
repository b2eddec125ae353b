// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
	"github.com/netprobe-xdp/netprobe-xdp/internal/notify"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
)

func newRun() *cobra.Command {
	var o prober.Options
	cmd := &cobra.Command{
		Use:   "run --iface NAME",
		Short: "probe targets and serve the figures",
		Long: `run probes the targets of a configuration through the given interfaces and serves
the figures for Prometheus and VictoriaMetrics, until SIGINT or SIGTERM.

SIGHUP loads the configuration again. What did not change goes on undisturbed, and
where anything is wrong with it everything does.

Without --config it takes ./netprobe.yaml or /etc/netprobe-xdp/netprobe.yaml. When
neither exists it pings the interface's default gateways and the system's
resolvers every 10 s, and serves the figures on http://127.0.0.1:8000/metrics.

Needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK,
and CAP_SYS_ADMIN for --netns; and an Ethernet interface whose XDP slot is free.
The program that somebody else attached there is never replaced; ours goes away
with this process. Once all is open, every capability but those is given up (and
CAP_SYS_ADMIN without --netns), and no-new-privileges is set.`,
		Example: `  sudo netprobe-xdp run --iface eth0
  sudo netprobe-xdp run --iface eth0 --config netprobe.yaml
  sudo netprobe-xdp run --iface eth0 --iface eth1 --config netprobe.yaml --settings settings.yaml
  sudo netprobe-xdp run --netns blue --iface veth0 --config netprobe.yaml`,
		Args: positional(0, "no argument, the configuration is named with --config"),
	}
	fs := cmd.Flags()
	addInterfaces(cmd, &o.Ifaces, &o.NetNS)
	fs.StringVar(&o.Config, "config", "", "netprobify configuration `FILE`: .yaml, .yml or .json")
	fs.StringVar(&o.Settings, "settings", "", "`FILE` with our own sections: engine, safety, metrics, history, web, push, api, inventories")
	// These two override settings; internal/config reads and checks them.
	fs.String("xdp-mode", "auto", "how XDP is attached: `auto|native|generic`; auto is native where the driver has it")
	fs.String("bind", "copy", "how AF_XDP sockets are bound: `copy|zerocopy|auto`")
	lines := &format{"text", []string{"text", "json"}}
	fs.Var(lines, "log-format", "lines of the log on stderr; global.logging_level says which there are")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b := build()
		o.Confine, o.Control = true, true
		o.Flags, o.Version, o.Revision = fs, b.Version, b.Revision
		o.Level = &slog.LevelVar{}
		o.Log = logging.New(cmd.ErrOrStderr(), lines.chosen == "json", o.Level)
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		o.Hangup = hangup
		o.Notify = notify.FromEnv(o.Log)
		return prober.Run(cmd.Context(), o)
	}
	return cmd
}

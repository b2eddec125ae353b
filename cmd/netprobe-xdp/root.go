// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

const rootLong = `netprobe-xdp measures loss and round trips of network paths: it sends TCP, ICMP
and UDP probes through AF_XDP, takes back only their own replies by an XDP
program, and serves the figures to Prometheus and VictoriaMetrics. It reads
netprobify's configuration files and keeps its metrics.`

const needsHelp = `Needs:
  Linux 5.18 or later; root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON
  and CAP_IPC_LOCK, for --netns also CAP_SYS_ADMIN; for run, an Ethernet interface
  whose XDP slot is free. "check --iface NAME" tells what an interface has.
  "check", "ctl" and "version" need no privilege.

`

const environmentHelp = `Environment:
  NETPROBE_GLOBAL__PROMETHEUS_PORT=9100
              overrides a key of the configuration file: NETPROBE_, then the key
              in capitals, "__" between levels; for the sections global, engine,
              safety, metrics, history, web, push and api
  NETPROBE_INVENTORIES__NAME__PASSWORD, __BEARER_TOKEN, __PASSWORD_FILE, ...
              a secret of the inventory NAME, in capitals
  NETPROBE_PUSH__PASSWORD_FILE, NETPROBE_PUSH__BEARER_TOKEN_FILE
              a file with the secret for push.url
  NETPROBE_API_SOCKET
              the socket of the daemon that ctl and probe ask, where no flag says so
  NETPROBE_API_SERVER, NETPROBE_API_TOKEN_FILE, NETPROBE_API_TOKEN
              the address of the daemon that ctl asks, and the token for it, where no
              flag says so
  PROM_USER, PROM_PASSWORD
              when both are set, the HTTP server asks for them (basic auth)
`

// rootHelp is what --help of the program says beside its commands.
func rootHelp() string {
	var b strings.Builder
	b.WriteString(needsHelp + "Exit codes:\n")
	for _, m := range exitcode.Meanings() {
		fmt.Fprintf(&b, "  %-3d %s\n", m.Code, m.Text)
	}
	b.WriteString("\n" + environmentHelp)
	return b.String()
}

const usageTemplate = `Usage:
  {{.UseLine}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages}}{{end}}{{if .HasAvailableInheritedFlags}}
Flags of {{.Parent.CommandPath}}:
{{.InheritedFlags.FlagUsages}}{{end}}`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "netprobe-xdp COMMAND",
		Short: "measure network paths through AF_XDP",
		Long:  rootLong,
		Example: `  sudo netprobe-xdp demo                                   see it work on a made-up network
  sudo netprobe-xdp run --iface eth0                       ping gateways and resolvers
  netprobe-xdp check netprobe.yaml                         every fault of a configuration
  sudo netprobe-xdp run --iface eth0 --config netprobe.yaml`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       cobra.ArbitraryArgs,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, "no command given")
			}
			return unknownCommand(cmd, args[0])
		},
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, flagFault(err))
	})
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate("{{or .Long .Short}}\n\n{{.UsageString}}{{if not .HasParent}}\n" + rootHelp() + "{{end}}")
	root.SetHelpCommand(newHelp(root))
	root.AddCommand(newRun(), newProbe(), newCheck(), newDemo(), newCtl(), newVersion(), newMan())
	return root
}

// newHelp replaces cobra's help command, which calls an unknown topic a success.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "describe a command",
		RunE: func(_ *cobra.Command, args []string) error {
			found, rest, err := root.Find(args)
			switch {
			case len(rest) > 0:
				return unknownCommand(found, rest[0])
			case err != nil:
				return unknownCommand(root, args[0])
			}
			found.InitDefaultHelpFlag() // as --help shows it
			return found.Help()
		},
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	problem := fmt.Sprintf("unknown command %q", name)
	if similar := root.SuggestionsFor(name); len(similar) > 0 {
		problem += fmt.Sprintf(", did you mean %s?", strings.Join(similar, " or "))
	}
	return usageError(root, problem)
}

// usageError says on one line what is wrong with the command line, and where
// the right one is described.
func usageError(cmd *cobra.Command, problem string) error {
	return exitcode.With(exitcode.Usage, fmt.Errorf("%s; see %s --help", problem, cmd.CommandPath()))
}

// positional makes a wrong number of arguments a usage error.
func positional(most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > most {
			return usageError(cmd, fmt.Sprintf("unexpected argument %q; %s takes %s", args[most], cmd.Name(), what))
		}
		return nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/netdev"
	"github.com/netprobe-xdp/netprobe-xdp/internal/plan"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
)

// checked is what check prints on stdout.
type checked struct {
	Configuration *planSummary     `json:"configuration,omitempty"`
	Faults        []fault          `json:"faults,omitempty"` // text has them on stderr
	Interfaces    []*netdev.Report `json:"interfaces,omitempty"`
}

// fault is a fault of the configuration for a program, such as an editor.
type fault struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Key     string `json:"key,omitempty"`
	Read    string `json:"read"`
	Allowed string `json:"advice,omitempty"` // what is allowed, or to do, as a sentence
}

// planSummary says what a valid configuration amounts to.
type planSummary struct {
	File            string   `json:"file"`
	Settings        string   `json:"settings,omitempty"`
	Targets         int      `json:"targets"`
	Groups          int      `json:"groups"`
	ProbesPerSecond float64  `json:"probes_per_second"`
	Warnings        []string `json:"warnings"`
	// Blocked are the targets that are not sent to, wholly or in part.
	Blocked []blocked `json:"blocked,omitempty"`
}

// blocked is a target with addresses that safety.block_file holds, or
// safety.allow_file does not.
type blocked struct {
	Target    string     `json:"target"`
	First     netip.Addr `json:"first"`     // of the addresses concerned
	Addresses int        `json:"addresses"` // so many
	Of        int        `json:"of"`        // of all of the target's
}

// checkFlags are the flags of check.
type checkFlags struct {
	settings, netns string
	ifaces          []string
}

func newCheck() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "judge a configuration, an interface, or both",
		Long: `check reads a configuration and prints every fault, one a line on stderr, as
"file:line: key: what was read; what is allowed", and warnings as "warning: ...";
with -o json they are on stdout as well. When there is no fault it says on stdout
what the plan amounts to, and which targets safety.block_file or allow_file block.
Without FILE it takes the one that run would take. It warns of source ports that
net.ipv4.ip_local_reserved_ports of this network namespace, or of that of --netns,
does not hold.

With --iface it reports what decides whether probes can leave by an interface:
driver, MTU, queues, the XDP slot and who holds it, VLAN stripping, kernel,
capabilities, locked memory. With FILE as well, the plan is judged against this
host's addresses too. Nothing is probed, no name is resolved.`,
		Example: `  netprobe-xdp check netprobe.yaml
  netprobe-xdp check netprobe.yaml --settings settings.yaml -o json
  sudo netprobe-xdp check --iface eth0`,
		Args: positional(1, "one file"),
	}
	cmd.Flags().StringVar(&f.settings, "settings", "", "`FILE` with our own sections: engine, safety, metrics, history, web, push, api, inventories")
	addInterfaces(cmd, &f.ifaces, &f.netns)
	output := outputFlag(cmd.Flags(), "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var out checked
		var errs []error
		if len(args) > 0 || len(f.ifaces) == 0 {
			s, err := f.judge(cmd.Context(), cmd.ErrOrStderr(), args)
			out.Configuration, errs = s, append(errs, err)
			if faults, ok := errors.AsType[config.Faults](err); ok && output.chosen == "json" {
				for _, f := range faults {
					out.Faults = append(out.Faults, fault(f))
				}
			}
		}
		for _, name := range f.ifaces {
			r, err := f.inspect(cmd.Context(), name)
			if r != nil {
				out.Interfaces = append(out.Interfaces, r)
			}
			errs = append(errs, err)
		}
		if err := cmd.Context().Err(); err != nil {
			return err // what there is may be half of it
		}
		if out.Configuration != nil || out.Faults != nil || out.Interfaces != nil {
			errs = append(errs, show(cmd, output, out, out.print))
		}
		return errors.Join(errs...)
	}
	return cmd
}

// judge loads and plans the configuration as run does.
func (f *checkFlags) judge(ctx context.Context, stderr io.Writer, args []string) (*planSummary, error) {
	file := config.Search()
	if len(args) > 0 {
		file = args[0]
	}
	if file == "" {
		return nil, exitcode.With(exitcode.NoInput, errors.New("no configuration to check: neither ./netprobe.yaml nor /etc/netprobe-xdp/netprobe.yaml exists; name a file"))
	}
	cfg, err := config.Load(config.Options{File: file, Settings: f.settings, Env: os.Environ()})
	if err != nil {
		return nil, err
	}
	doubts, err := web.Judge(cfg, web.CredentialsFromEnv())
	if err != nil {
		return nil, err
	}
	in, done := f.hostView(ctx)
	defer done()
	var unread error
	in.Reserved, unread = netdev.ReservedPorts(f.netns)
	p, err := plan.Build(cfg, in)
	if err != nil {
		return nil, err
	}
	if unread != nil {
		p.Warnings = append(p.Warnings, cfg.Fault("cannot tell whether the source ports are reserved", unread.Error(), "groups"))
	}
	s := &planSummary{File: file, Settings: f.settings, Targets: len(cfg.Targets), Groups: len(cfg.Groups), ProbesPerSecond: p.PPS, Warnings: []string{}}
	for _, w := range slices.Concat(cfg.Warnings, doubts, p.Warnings) {
		s.Warnings = append(s.Warnings, w.String())
		fmt.Fprintln(stderr, "warning: "+w.String())
	}
	s.Blocked = blockedOf(cfg.Safety.Lists, p)
	return s, nil
}

// blockedOf lists the targets that the lists block; those with a name are known
// only once it resolves.
func blockedOf(lists *config.Lists, p *plan.Plan) (all []blocked) {
	for _, t := range p.Targets {
		b := blocked{Target: t.Name, Of: len(t.Addrs)}
		for _, a := range t.Addrs {
			if !lists.Blocked(a) {
				continue
			}
			if b.Addresses++; b.Addresses == 1 {
				b.First = a
			}
		}
		if b.Addresses > 0 {
			all = append(all, b)
		}
	}
	return all
}

// hostView returns what the kernel says of addresses in the namespace of the
// interfaces. Without an interface, or with one that cannot be opened (its
// report says why), the plan is judged by itself.
func (f *checkFlags) hostView(ctx context.Context) (in plan.Inputs, done func()) {
	if len(f.ifaces) == 0 {
		return in, func() {}
	}
	link, err := netdev.Open(ctx, f.options(f.ifaces[0]))
	if err != nil {
		return in, func() {}
	}
	local := func(a netip.Addr) bool {
		is, err := link.IsLocal(a)
		return err == nil && is
	}
	return plan.Inputs{Self: local, Local: local}, func() { _ = link.Close() }
}

// inspect reports on one interface. The error names what would stop a run; the
// report is there even so when the interface exists.
func (f *checkFlags) inspect(ctx context.Context, name string) (*netdev.Report, error) {
	r, err := netdev.Inspect(ctx, f.options(name))
	if err != nil || len(r.Problems) == 0 {
		return r, err
	}
	code := exitcode.Unavailable
	if len(r.Host.Missing()) > 0 {
		code = exitcode.NoPermission
	}
	return r, exitcode.With(code, fmt.Errorf("%s is not ready for a run: %s, named in the report", name, screen.Count(len(r.Problems), "problem")))
}

func (f *checkFlags) options(iface string) netdev.Options {
	return netdev.Options{Iface: iface, NetNS: f.netns, Log: slog.New(slog.DiscardHandler)}
}

// print writes the text form.
func (c *checked) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if s := c.Configuration; s != nil {
		fmt.Fprintf(t, "%s: %s, %s, %s probes/s\n", s.File, screen.Count(s.Targets, "target"), screen.Count(s.Groups, "group"), screen.Rate(s.ProbesPerSecond, 4))
		for _, b := range s.Blocked {
			fmt.Fprintf(t, "blocked: %s: %d of %d addresses, the first is %s\n", b.Target, b.Addresses, b.Of, b.First)
		}
	}
	for i, r := range c.Interfaces {
		if i > 0 || c.Configuration != nil {
			fmt.Fprintln(t)
		}
		for _, row := range r.Rows() {
			fmt.Fprintf(t, "%s\t%s\n", row.Label, strings.ReplaceAll(row.Value, "\n", " "))
		}
	}
	return t.Flush()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
	"github.com/netprobe-xdp/netprobe-xdp/internal/oneshot"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// probeFlags are what the command line of probe says.
type probeFlags struct {
	prober.Options
	request      api.ProbeRequest
	files        []string
	interval     time.Duration
	timeout      time.Duration
	rate, ports  string
	size         int
	dscp         uint8
	dontFragment bool
	only4, only6 bool
	allowRate    bool
	allowRanges  []string
	socket       string
	printer      oneshot.Printer
	verbose      bool
}

func newProbe() *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe --iface NAME SPEC...",
		Short: "probe once, and show what comes back",
		Long: `probe sends probes now, shows what comes back and sums it up, as ping and fping do.

SPEC is tcp://HOST:PORT (a SYN; an open and a closed port answer alike),
udp://HOST[:PORT] (to a closed port, by default 33434), icmp://HOST, or HOST, which is pinged.
HOST is a name, an address, a prefix such as 10.0.0.0/16 or a range such as 10.0.0.1-9;
an IPv6 address or prefix stands in brackets where a port follows.

Up to 10 targets are shown answer by answer. Of up to 256 addresses each has its line
at the end, of more there is a total; -o json, csv and jsonl have each. Ctrl-C ends it
early, with the summary of what is known. Percentiles are exact up to 2048 answers of an address,
and within 0.6% beyond.

Of the addresses, probes take turns so that each network gets its share at all times.
At most 20000 probes/s leave, and 2000 into one /24 or /48, unless --allow-rate
says otherwise. Some ranges (loopback, link-local, multicast) need --allow-range.

Where a netprobe-xdp holds the interface, or --socket or NETPROBE_API_SOCKET names one,
it is asked to probe, within what its own caps leave; its targets are not disturbed.

Exit codes are those of fping: 0 each address answered at least once, 1 some did not,
2 some name has no address, 3 wrong command line, 4 system failure.`,
		Example: `  sudo netprobe-xdp probe --iface eth0 192.0.2.1
  sudo netprobe-xdp probe --iface eth0 tcp://[2001:db8::1]:443 tcp://www.example.net:443 -c 100 -i 10ms
  sudo netprobe-xdp probe --iface eth0 10.0.0.0/16 -c 1 --rate 200k --allow-rate --alive
  sudo netprobe-xdp probe --iface eth0 -f hosts.txt -c 3 -o csv`,
		SilenceUsage: true,
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return probeUsage(cmd, "%s", flagFault(err)) })
	fs := cmd.Flags()
	addInterfaces(cmd, &f.Ifaces, &f.NetNS)
	fs.StringVar(&f.Settings, "settings", "", "`FILE` with our own sections, of which engine and safety matter")
	fs.String("xdp-mode", "auto", "how XDP is attached: `auto|native|generic`")
	fs.String("bind", "copy", "how AF_XDP sockets are bound: `copy|zerocopy|auto`")
	fs.StringArrayVarP(&f.files, "file", "f", nil, "read SPECs from `FILE`, one a line, # begins a comment; - is standard input")
	fs.IntVarP(&f.request.Count, "count", "c", 5, "probes to each address, `N`")
	fs.DurationVarP(&f.interval, "interval", "i", time.Second, "time between two probes to one address")
	fs.StringVar(&f.rate, "rate", "", "at most so many probes per second in all: `N`, 200k or 1M")
	fs.DurationVarP(&f.timeout, "timeout", "W", oneshot.UsualTimeout, "how long an answer may take")
	fs.IntVar(&f.size, "size", 0, "`BYTES` of the packet after its IP header; default: as few as it takes")
	fs.StringVar(&f.ports, "source-port", "", "source ports to take in turn, `A-Z` or one; default: as many above 61000 as the pace needs")
	fs.Uint8Var(&f.dscp, "dscp", 0, "DSCP, 0 to 63")
	fs.BoolVar(&f.dontFragment, "dont-fragment", true, "set the don't-fragment bit of IPv4")
	fs.BoolVarP(&f.only4, "ipv4", "4", false, "names: IPv4 only")
	fs.BoolVarP(&f.only6, "ipv6", "6", false, "names: IPv6 only")
	fs.BoolVarP(&f.printer.Quiet, "quiet", "q", false, "only the summary")
	fs.BoolVar(&f.printer.Reachable, "alive", false, "list the addresses that answered, and nothing else")
	fs.BoolVar(&f.printer.Unreachable, "unreachable", false, "list the addresses that did not answer, and nothing else")
	fs.StringVarP(&f.printer.Format, "output", "o", "table", "how to print: `table|json|jsonl|csv`")
	fs.BoolVar(&f.allowRate, "allow-rate", false, "allow what --rate or -i asks for beyond the caps; the network must be yours to load")
	fs.StringArrayVar(&f.allowRanges, "allow-range", nil, "allow a `PREFIX` that is otherwise refused, as safety.allow_ranges")
	addSocket(fs, &f.socket, "UNIX socket of the daemon that is to probe", "the one that holds the interface, if any does")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log on stderr what is opened")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		b := build()
		f.Flags, f.Version, f.Revision, f.Confine = fs, b.Version, b.Revision, true
		level := new(slog.LevelVar)
		if level.Set(slog.LevelError); f.verbose {
			level.Set(slog.LevelInfo)
		}
		f.Log = logging.New(cmd.ErrOrStderr(), false, level)
		if err := f.read(cmd, args); err != nil {
			return err
		}
		return f.run(cmd)
	}
	return cmd
}

func probeUsage(cmd *cobra.Command, format string, args ...any) error {
	return exitcode.With(exitcode.ProbeUsage, fmt.Errorf("%s; see %s --help", fmt.Sprintf(format, args...), cmd.CommandPath()))
}

// read makes a request of the command line.
func (f *probeFlags) read(cmd *cobra.Command, args []string) error {
	r := &f.request
	for _, arg := range args {
		t, err := oneshot.ParseSpec(arg)
		if err != nil {
			return probeUsage(cmd, "%v", err)
		}
		r.Targets = append(r.Targets, t)
	}
	for _, name := range f.files {
		var from io.Reader = cmd.InOrStdin()
		if name != "-" {
			file, err := os.Open(name)
			if err == nil {
				if info, serr := file.Stat(); serr == nil && info.IsDir() {
					file.Close()
					err = fmt.Errorf("%s is a folder; name a file with one SPEC a line", name)
				}
			}
			if err != nil {
				return exitcode.With(exitcode.ProbeSystem, fmt.Errorf("read --file: %w", err))
			}
			defer file.Close()
			from = file
		}
		more, err := oneshot.ReadSpecs(from, name)
		if err != nil {
			return probeUsage(cmd, "%v", err)
		}
		r.Targets = append(r.Targets, more...)
	}
	if len(r.Targets) == 0 {
		return probeUsage(cmd, "nothing to probe; name a SPEC, or a file with -f")
	}
	if f.only4 && f.only6 {
		return probeUsage(cmd, "-4 and -6 exclude each other")
	}
	if f.timeout <= 0 { // 0 is "as usual" to a daemon, and nobody who types it means that
		return probeUsage(cmd, "--timeout: read %s; allowed: 1ms to %s", f.timeout, oneshot.MaxTimeout)
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		t.Timeout, t.IPPayloadSize, t.DontFragment = f.timeout.Seconds(), f.size, &f.dontFragment
		if _, err := netip.ParseAddr(t.Destination); err == nil || strings.ContainsAny(t.Destination, "/*") {
			continue
		}
		switch {
		case f.only4:
			t.Family = "ipv4"
		case f.only6:
			t.Family = "ipv6"
		}
	}
	if !slices.Contains(oneshot.Formats, f.printer.Format) {
		return probeUsage(cmd, "read -o %q; allowed: %s", f.printer.Format, strings.Join(oneshot.Formats, ", "))
	}
	if f.printer.Reachable && f.printer.Unreachable {
		return probeUsage(cmd, "--alive and --unreachable exclude each other")
	}
	if (f.printer.Reachable || f.printer.Unreachable) && f.printer.Format != "table" {
		return probeUsage(cmd, "--alive and --unreachable are lists of text, and -o %s has each address anyway; leave one of them out", f.printer.Format)
	}
	r.IntervalSeconds, r.DSCP = f.interval.Seconds(), f.dscp
	if f.rate != "" {
		rate, err := oneshot.ParseRate(f.rate)
		if err != nil {
			return probeUsage(cmd, "--rate: %v", err)
		}
		r.Rate = rate
	}
	if f.ports != "" {
		first, last, both := strings.Cut(f.ports, "-")
		if !both {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		z, errZ := strconv.ParseUint(last, 10, 16)
		if errA != nil || errZ != nil || a == 0 || z < a {
			return probeUsage(cmd, "--source-port: read %q; allowed: a port or A-Z, 1 to 65535", f.ports)
		}
		r.SourcePorts = []uint16{uint16(a), uint16(z)}
	}
	checked, problem := oneshot.Check(*r)
	if problem != nil {
		return probeUsage(cmd, "%v", typed(cmd, problem, f.typed()...))
	}
	demand := checked.Lay(nil).Demand()
	if !cmd.Flags().Changed("interval") && f.rate == "" && demand > usualRate {
		r.Rate, demand = usualRate, usualRate // nobody asked for more
	}
	if demand > usualRate && !f.allowRate {
		return probeUsage(cmd, "%.0f probes/s are asked for, and more than %d are not sent unless --allow-rate is given; lower --rate, or raise -i", demand, usualRate)
	}
	return nil
}

// usualRate is how many probes per second leave at the most unless more are allowed.
const usualRate = 20_000

// run probes, and says how it ends.
func (f *probeFlags) run(cmd *cobra.Command) error {
	once := prober.Once{ProbeRequest: f.request}
	for _, text := range f.allowRanges {
		p, err := netip.ParsePrefix(text)
		if a, bare := netip.ParseAddr(text); bare == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			return probeUsage(cmd, "--allow-range: read %q; allowed: a prefix without host bits such as 127.0.0.0/8, or an address", text)
		}
		once.AllowRanges = append(once.AllowRanges, p)
	}
	if f.allowRate {
		once.AllowPPS = 100_000_000
		if once.Rate > 0 {
			once.AllowPPS = int(once.Rate) + 1
		} else if f.interval > 0 {
			once.AllowPPS = int(float64(oneshot.MaxAddrs)/f.interval.Seconds()) + 1
		}
	}
	f.printer.Out = cmd.OutOrStdout()
	if terminal(cmd.ErrOrStderr()) {
		f.printer.Bar = cmd.ErrOrStderr()
	}
	f.printer.Begin(once.Targets)
	once.Quiet = !f.printer.Lines()
	emit := func(e api.ProbeEvent) {
		if e.Kind == api.ProbeNotFound {
			fmt.Fprintf(cmd.ErrOrStderr(), "netprobe-xdp: %s: %s\n", once.Targets[e.Target].Name, e.Cause)
		}
		f.printer.Event(e)
	}
	err := f.probe(cmd, once, emit)
	if err != nil {
		return f.failure(cmd, err)
	}
	answered, silent, err := f.printer.End()
	switch {
	case err != nil:
		return exitcode.With(exitcode.ProbeSystem, fmt.Errorf("write what was found: %w", err))
	case f.printer.NotFound > 0:
		return exitcode.With(exitcode.ProbeNotFound, errors.New(""))
	case silent > 0 || answered == 0:
		return exitcode.With(exitcode.ProbeSilent, errors.New(""))
	}
	return nil
}

// typed are the targets as they were typed.
func (f *probeFlags) typed() []string {
	var all []string
	for i := range f.request.Targets {
		all = append(all, f.request.Targets[i].Name)
	}
	return all
}

// failure gives an error the exit code that fping would have, and words for a command
// line.
func (f *probeFlags) failure(cmd *cobra.Command, err error) error {
	code := exitcode.ProbeSystem
	if exitcode.Of(err) == exitcode.Usage {
		code = exitcode.ProbeUsage
	}
	if e, ok := errors.AsType[*client.Error](err); ok && e.Kind != nil {
		return exitcode.With(code, errors.New(screen.Printable(e.Text))) // not what was typed, but the daemon
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		if code = exitcode.ProbeUsage; len(p.Errors) > 0 {
			err = errors.New(screen.Printable(typed(cmd, p, f.typed()...).Error()))
		}
	}
	return exitcode.With(code, err)
}

// terminal says whether w is one.
func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

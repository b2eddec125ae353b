// SPDX-License-Identifier: Apache-2.0

// Command bench compares the engine with the barest loop over AF_XDP and with
// zmap, masscan and fping, side by side in one run: each on a veth pair of its
// own whose far end answers from XDP and counts what was on the wire. Further
// tables hold the round trips against a responder that takes a known time,
// against busy CPUs, the cost at rest, and what the host's own traffic is left
// with beside us. See docs/performance.md.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// roleFlag makes this binary a child of itself: the next arguments are the
// role and its specification.
const (
	roleFlag = "-child"
	roleOurs = "ours"
	roleBare = "bare"
	roleBurn = "burn"
)

func main() {
	if err := mainOr(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func mainOr() error {
	if len(os.Args) == 4 && os.Args[1] == roleFlag {
		switch os.Args[2] {
		case roleOurs:
			return runOurs(os.Args[3])
		case roleBare:
			return runBare(os.Args[3])
		case roleBurn:
			return runBurn(os.Args[3])
		}
		return fmt.Errorf("no child is called %q", os.Args[2])
	}
	o, err := options(os.Args[1:])
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and XDP need root: run sudo make bench")
	}
	// All files of all runs are in one directory, and go with it.
	dir, err := os.MkdirTemp("", "netprobe-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		closeAll()
		_ = os.RemoveAll(dir) // the children are gone, or about to go
		os.Exit(130)
	}()
	return o.run(os.Stdout)
}

// opts is what the command line says.
type opts struct {
	rounds   int
	duration time.Duration
	tables   []string
	only     string
	among    []string
	output   string
	queues   int
	batch    int
	profile  string
}

// The tables of -tables.
var tableNames = []string{"contest", "hold", "stress", "rest", "host", "api"}

func options(args []string) (*opts, error) {
	o := &opts{}
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	quick := f.Bool("quick", false, "one round: to see that everything works")
	f.IntVar(&o.rounds, "rounds", 5, "how often everything runs; the median and the spread are shown")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "how long one contestant sends")
	names := f.String("tables", strings.Join(tableNames, ","), "which tables, separated by commas")
	f.StringVar(&o.only, "only", "", "of the contest only settings whose name contains this")
	among := f.String("among", "", "of the contest only these contestants, separated by commas")
	f.StringVar(&o.output, "o", "text", "text, markdown or json")
	markdown := f.Bool("markdown", false, "the same as -o markdown: for docs/performance.md")
	f.IntVar(&o.queues, "queues", 1, "queues of the veth pair; the bare loop uses the first alone")
	f.IntVar(&o.batch, "batch", 64, "frames that the bare loop hands over at once as fast as it goes")
	f.StringVar(&o.profile, "profile", "", "afterwards write CPU profiles of netprobe-xdp, as fast as it goes, to this file with .icmp and .tcp behind")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		o.rounds = 1
	}
	if *markdown {
		o.output = "markdown"
	}
	o.tables = strings.Split(*names, ",")
	if *among != "" {
		o.among = strings.Split(*among, ",")
	}
	for _, name := range o.tables {
		if !slices.Contains(tableNames, name) {
			return nil, fmt.Errorf("-tables %q: they are %s", name, strings.Join(tableNames, ", "))
		}
	}
	if !slices.Contains([]string{"text", "markdown", "json"}, o.output) {
		return nil, fmt.Errorf("-o %q: text, markdown or json", o.output)
	}
	if o.rounds < 1 || o.queues < 1 || o.batch < 1 || o.batch > bareRing/2 || o.duration < 500*time.Millisecond || o.duration > 5*time.Second {
		return nil, fmt.Errorf("at least 1 round, 1 queue, a batch of 1 to %d, and 0.5 to 5 s", bareRing/2)
	}
	return o, nil
}

// report is everything that was measured.
type report struct {
	Machine machine     `json:"machine"`
	Rounds  int         `json:"rounds"`
	Contest []*entry    `json:"contest,omitempty"`
	Hold    *holdWas    `json:"hold,omitempty"`
	Stress  []*stress   `json:"stress,omitempty"`
	Rest    *restWas    `json:"rest,omitempty"`
	Host    []*hostCost `json:"host,omitempty"`
	Asked   []*askedWas `json:"api,omitempty"`
	tables  []*table
}

func (o *opts) run(w io.Writer) error {
	begin := time.Now()
	r := report{Machine: thisMachine(), Rounds: o.rounds}
	phases, err := newPhases(contestTargets)
	if err != nil {
		return err
	}
	for _, name := range o.tables {
		switch name {
		case "contest":
			settings := o.settings(phases)
			if r.Contest, err = o.contest(settings); err == nil {
				sumUp(r.Contest)
				r.tables = append(r.tables, tables(settings, r.Contest)...)
			}
		case "hold":
			if r.Hold, err = o.hold(phases); err == nil {
				r.tables = append(r.tables, r.Hold.table())
			}
		case "stress":
			if r.Stress, err = o.stress(phases); err == nil {
				r.tables = append(r.tables, stressTable(r.Stress))
			}
		case "rest":
			if r.Rest, err = o.rest(phases); err == nil {
				r.tables = append(r.tables, r.Rest.table())
			}
		case "host":
			if r.Host, err = o.host(phases); err == nil {
				r.tables = append(r.tables, hostTable(r.Host))
			}
		case "api":
			if r.Asked, err = o.askedFor(phases); err == nil {
				r.tables = append(r.tables, askedTable(r.Asked))
			}
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	if o.profile != "" {
		if err := o.writeProfiles(phases); err != nil {
			return err
		}
	}
	progress("took %v", time.Since(begin).Round(time.Second))
	return r.write(w, o.output)
}

func (r *report) write(w io.Writer, how string) error {
	switch how {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case "markdown":
		fmt.Fprintf(w, "%s; median of %d (least..most).\n", r.Machine, r.Rounds)
		for _, t := range r.tables {
			t.markdown(w)
		}
	default:
		fmt.Fprintf(w, "%s; median of %d (least..most)\n", r.Machine, r.Rounds)
		for _, t := range r.tables {
			t.text(w)
		}
	}
	return nil
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// lacks names a program that is not installed.
func lacks(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is missing: run scripts/setup.sh bench (as make bench does)", name)
		}
	}
	return nil
}

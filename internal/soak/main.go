// SPDX-License-Identifier: Apache-2.0

// Command soak runs the program for a long time on a veth pair whose far end
// answers from XDP and counts what was on the wire, and says whether a figure
// was false and whether memory or file descriptors grew. See
// docs/performance.md for the results.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("soak", flag.ExitOnError)
	which := f.String("run", "", "which runs, separated by commas: "+strings.Join(names(), ", ")+"; all when empty")
	duration := f.Duration("duration", 0, "how long each, instead of its own time")
	output := f.String("o", "text", "text or markdown")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *output != "text" && *output != "markdown" {
		return fmt.Errorf("-o %q: text or markdown", *output)
	}
	chosen, err := choose(*which)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces and XDP need root: run sudo make soak")
	}
	dir, err := os.MkdirTemp("", "netprobe-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "netprobe-xdp")
	if err := lab.BuildProgram(binary); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	var failed error
	for _, s := range chosen {
		if *duration > 0 {
			s.duration = *duration
		}
		r, err := s.run(binary, dir, interrupted)
		if err != nil {
			return fmt.Errorf("run %s: %w", s.name, err)
		}
		r.write(os.Stdout, *output)
		failed = errors.Join(failed, r.verdict())
	}
	return failed
}

// choose returns the scenarios of a list of names.
func choose(list string) ([]scenario, error) {
	if list == "" {
		return slices.Clone(scenarios), nil
	}
	var chosen []scenario
	for _, name := range strings.Split(list, ",") {
		i := slices.Index(names(), name)
		if i < 0 {
			return nil, fmt.Errorf("-run %q: they are %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

func names() (all []string) {
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

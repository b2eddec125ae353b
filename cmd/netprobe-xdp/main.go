// SPDX-License-Identifier: Apache-2.0

// Command netprobe-xdp measures paths through AF_XDP and serves the figures.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/inventory"
)

func main() {
	inventory.BecomeChild()
	// A reader that goes away must not keep a command from cleaning up: the
	// write fails instead.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code. When ctx ends, those
// that work until then end with success, and the others quietly without a
// result.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return exitcode.Interrupted
	}
	printError(stderr, err)
	return exitcode.Of(err)
}

// printError writes one line per fault: configuration faults as they are, since
// they begin with their file and line, anything else with the program's name.
func printError(w io.Writer, err error) {
	if err == nil {
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			printError(w, err)
		}
		return
	}
	if faults, ok := errors.AsType[config.Faults](err); ok {
		fmt.Fprintln(w, faults.Error())
		return
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "netprobe-xdp: %s\n", strings.TrimRight(line, "\n"))
	}
}

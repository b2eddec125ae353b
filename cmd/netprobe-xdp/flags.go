// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// format is how a command prints: the first of those allowed unless asked otherwise.
type format struct {
	chosen  string
	allowed []string
}

// String returns the format, for pflag.
func (f *format) String() string { return f.chosen }

// Set accepts a known format, for pflag.
func (f *format) Set(s string) error {
	if !slices.Contains(f.allowed, s) {
		return errors.New("allowed: " + strings.Join(f.allowed, ", "))
	}
	f.chosen = s
	return nil
}

// Type returns what --help shows, for pflag.
func (f *format) Type() string { return strings.Join(f.allowed, "|") }

// outputFlag adds -o.
func outputFlag(flags *pflag.FlagSet, allowed ...string) *format {
	f := &format{allowed[0], allowed}
	flags.VarP(f, "output", "o", "how to print")
	return f
}

// show writes v to stdout as JSON where that is asked for, otherwise by calling
// text.
func show(cmd *cobra.Command, output *format, v any, text func(io.Writer) error) error {
	if output.chosen != "json" {
		return text(cmd.OutOrStdout())
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// addInterfaces adds the flags that say where probes leave.
func addInterfaces(cmd *cobra.Command, ifaces *[]string, netns *string) {
	cmd.Flags().StringArrayVar(ifaces, "iface", nil, "interface `NAME`; may be given several times")
	cmd.Flags().StringVar(netns, "netns", "", "network namespace of the interfaces, `NAME` (under /run/netns) or path")
}

// socketVar names the socket of the daemon that is asked, where no flag does.
const socketVar = "NETPROBE_API_SOCKET"

// addSocket adds --socket; otherwise says which daemon is asked where neither it nor
// the environment names one.
func addSocket(flags *pflag.FlagSet, to *string, what, otherwise string) {
	flags.StringVar(to, "socket", "", what+", `PATH`; default: "+socketVar+", or "+otherwise)
}

// socketOf is the socket that the flag or the environment names; "": neither does.
func socketOf(flag string) string { return cmp.Or(flag, os.Getenv(socketVar)) }

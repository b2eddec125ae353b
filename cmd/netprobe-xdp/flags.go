// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

// flagFault says of a flag that cannot be read what was read and what is allowed, as of
// a key of the configuration. What Go's own parsers say is for programmers.
func flagFault(err error) string {
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err.Error()
	}
	allowed := map[string]string{
		"bool":           "true or false",
		"duration":       "a time with its unit such as 500ms, 10s or 2h",
		"int":            "a whole number",
		"stringToString": "NAME=VALUE",
		"uint8":          "a whole number, 0 to 63",
	}[e.GetFlag().Value.Type()]
	if allowed == "" {
		allowed = strings.TrimPrefix(e.Unwrap().Error(), "allowed: ")
	}
	if errors.Is(err, strconv.ErrRange) && e.GetFlag().Value.Type() == "int" {
		allowed += ", and not so large a one"
	}
	return fmt.Sprintf("--%s: read %q; allowed: %s", e.GetFlag().Name, e.GetValue(), allowed)
}

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

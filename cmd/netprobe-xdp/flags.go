// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// format is how a command prints: text or json.
type format string

// String returns the format, for pflag.
func (f *format) String() string { return string(*f) }

// Set accepts a known format, for pflag.
func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("allowed: text, json")
	}
	*f = format(s)
	return nil
}

// Type returns what --help shows, for pflag.
func (f *format) Type() string { return "text|json" }

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command) *format {
	f := format("text")
	cmd.Flags().VarP(&f, "output", "o", "how to print")
	return &f
}

// show writes v to stdout as JSON, or as text by calling text.
func show(cmd *cobra.Command, output *format, v any, text func(io.Writer) error) error {
	if *output == "text" {
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

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/internal/manual"
)

// newMan writes the manual page that packages bring. --help does not list it.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "write the manual page, netprobe-xdp(1)",
		Hidden: true,
		Args:   positional(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return manual.Write(cmd.OutOrStdout(), cmd.Root(), build().Version, rootHelp())
		},
	}
}

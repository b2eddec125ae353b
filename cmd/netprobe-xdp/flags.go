// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

// String returns the value, for pflag.
func (c *choice) String() string { return c.value }

// Set accepts an allowed word, for pflag.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("allowed: %s", strings.Join(c.allowed, ", "))
	}
	c.value = s
	return nil
}

// Type returns what --help shows, for pflag.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// outputFlag adds -o, which chooses between text and JSON.
func outputFlag(cmd *cobra.Command) *choice {
	c := &choice{value: "text", allowed: []string{"text", "json"}}
	cmd.Flags().VarP(c, "output", "o", "how to print")
	return c
}

// show writes v to stdout as JSON, or as text by calling text.
func show(cmd *cobra.Command, output *choice, v any, text func(io.Writer) error) error {
	if output.value == "text" {
		return text(cmd.OutOrStdout())
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

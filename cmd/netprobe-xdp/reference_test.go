// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
	"github.com/netprobe-xdp/netprobe-xdp/internal/generated"
)

// TestReference: docs/reference/commands.md has each command with its flags, and
// the exit codes.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Commands, flags and exit codes\n\n" + generated.Notice + "\nWhat `--help` says, in one page.\n")
	describe(&b, newRoot())
	rows := [][]string{{"code", "meaning"}}
	for _, m := range exitcode.Meanings() {
		rows = append(rows, []string{strconv.Itoa(m.Code), m.Text})
	}
	b.WriteString("\n## Exit codes\n\nOf every command but `probe`, which has fping's (above).\n\n" + generated.Table(rows))
	rows = [][]string{{"code of probe", "meaning"}}
	for _, m := range exitcode.ProbeMeanings() {
		rows = append(rows, []string{strconv.Itoa(m.Code), m.Text})
	}
	b.WriteString("\nThose of `probe` are fping's:\n\n" + generated.Table(rows))
	fmt.Fprintf(&b, "\n## Environment\n\n```text\n%s```\n", environmentHelp)
	generated.Page(t, "commands.md", b.String())
}

// describe writes a command and those below it.
func describe(b *strings.Builder, cmd *cobra.Command) {
	long := cmd.Long
	if long == "" {
		long = cmd.Short
	}
	fmt.Fprintf(b, "\n## %s\n\n```text\n%s\n\nUsage: %s\n", cmd.CommandPath(), strings.TrimSpace(long), cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(b, "\nExamples:\n%s\n", cmd.Example)
	}
	b.WriteString("```\n")
	rows := [][]string{{"flag", "meaning", "default"}}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		absent := f.DefValue
		if absent == "[]" || absent == "false" {
			absent = ""
		}
		rows = append(rows, []string{generated.Code(strings.TrimSpace(name + " " + kind)), usage, generated.Code(absent)})
	})
	if len(rows) > 1 {
		b.WriteString("\n" + generated.Table(rows))
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			describe(b, c)
		}
	}
}

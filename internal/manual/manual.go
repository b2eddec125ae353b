// SPDX-License-Identifier: Apache-2.0

// Package manual writes the manual page of the program from its commands, so
// that it says what --help says. It is written here because cobra's own generator
// takes our plain texts for Markdown, brings two modules for it, and knows
// nothing of exit codes and environment.
package manual

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Write writes the page of a program as man(7) describes it. closing is what its
// --help ends with: headings, which begin a line and end with a colon, and
// indented text below them. The errors are those of w.
func Write(w io.Writer, root *cobra.Command, version, closing string) error {
	var p page
	p.f(".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Written by \"%s man\".\n", root.Name())
	p.f(".TH %s 1 \"\" \"%s\" \"User Commands\"\n.nh\n.ad l\n", strings.ToUpper(root.Name()), escape(root.Name()+" "+version))
	p.f(".SH NAME\n%s \\- %s\n", escape(root.Name()), escape(root.Short))
	p.f(".SH SYNOPSIS\n.nf\n")
	commands := below(root)
	for _, c := range commands {
		p.f("\\fB%s\\fR%s\n", escape(c.CommandPath()), escape(strings.TrimPrefix(c.UseLine(), c.CommandPath())))
	}
	p.f(".fi\n.SH DESCRIPTION\n")
	p.text(root.Long)
	p.f(".SH COMMANDS\n")
	for _, c := range commands {
		p.command(c)
	}
	if root.HasExample() {
		p.f(".SH EXAMPLES\n")
		p.literal(root.Example)
	}
	p.sections(closing)
	p.f(".SH SEE ALSO\n.BR netprobe.yaml (5),\n.BR systemctl (1)\n")
	_, err := io.WriteString(w, p.String())
	return err
}

// below returns the commands under one that --help lists, and those under
// them.
func below(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if sub.Runnable() {
			all = append(all, sub)
		}
		all = append(all, below(sub)...)
	}
	return all
}

// page is what was written of one.
type page struct{ strings.Builder }

func (p *page) f(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// command describes a command with its flags and examples.
func (p *page) command(c *cobra.Command) {
	p.f(".SS %s\n", escape(strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")))
	long := c.Long
	if long == "" {
		long = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
	}
	p.text(long)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		p.f(".TP\n\\fB")
		if f.Shorthand != "" {
			p.f("\\-%s\\fR, \\fB", f.Shorthand)
		}
		p.f("\\-\\-%s\\fR", escape(f.Name))
		if name != "" {
			p.f(" \\fI%s\\fR", escape(name))
		}
		if d := f.DefValue; !slices.Contains([]string{"", "0", "0s", "[]", "false"}, d) {
			usage += " (default: " + d + ")"
		}
		p.f("\n%s\n", line(usage))
	})
	if c.HasExample() {
		p.f(".PP\n")
		p.literal(c.Example)
	}
}

var heading = regexp.MustCompile(`^(\S.*):$`)

// sections writes what --help ends with, each part under its heading.
func (p *page) sections(text string) {
	var body []string
	flush := func() {
		if len(body) > 0 {
			p.literal(strings.Join(body, "\n"))
		}
		body = nil
	}
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		m := heading.FindStringSubmatch(l)
		if m == nil {
			body = append(body, l)
			continue
		}
		flush()
		p.f(".SH %s\n", escape(strings.ToUpper(m[1])))
	}
	flush()
}

// text writes paragraphs, which are filled. Lines that are indented stay as they
// are.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.f(".PP\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p.literal(paragraph)
			continue
		}
		for l := range strings.Lines(paragraph) {
			p.f("%s\n", line(strings.TrimSpace(l)))
		}
	}
}

// literal writes lines as they are.
func (p *page) literal(s string) {
	p.f(".EX\n")
	for l := range strings.Lines(strings.Trim(s, "\n")) {
		p.f("%s\n", line(strings.TrimRight(l, "\n ")))
	}
	p.f(".EE\n")
}

var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "^", `\(ha`, "~", `\(ti`)

// escape makes text mean itself.
func escape(s string) string { return escapes.Replace(s) }

// line is a line of text that shall not be taken for a request.
func line(s string) string {
	s = escape(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

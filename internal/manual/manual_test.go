// SPDX-License-Identifier: Apache-2.0

package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// TestWrite: what is on the page is what --help says, and no text is taken for a
// request.
func TestWrite(t *testing.T) {
	nothing := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool COMMAND", Short: "does things", Long: "tool does\n.things, 'so' -- a\\b.\n\n  as they are", Example: "  tool on"}
	on := &cobra.Command{Use: "on [NAME]", Short: "switch on", Run: nothing, Example: "  tool on x\n  tool on y"}
	on.Flags().StringP("level", "l", "low", "at which `LEVEL`")
	on.Flags().Bool("fast", false, "soon")
	on.Flags().Bool("secret", false, "not said")
	_ = on.Flags().MarkHidden("secret")
	group := &cobra.Command{Use: "group", Short: "several"}
	group.AddCommand(&cobra.Command{Use: "one", Short: "do one", Run: nothing, DisableFlagsInUseLine: true})
	root.AddCommand(on, group, &cobra.Command{Use: "hidden", Short: "not said", Hidden: true, Run: nothing})

	var b strings.Builder
	if err := Write(&b, root, "v1-2", "Exit codes:\n  0  fine\n\nNeeds:\n  .much\n"); err != nil {
		t.Fatal(err)
	}
	const want = `.\" SPDX-License-Identifier: Apache-2.0
.\" Written by "tool man".
.TH TOOL 1 "" "tool v1\-2" "User Commands"
.nh
.ad l
.SH NAME
tool \- does things
.SH SYNOPSIS
.nf
\fBtool group one\fR
\fBtool on\fR [NAME] [flags]
.fi
.SH DESCRIPTION
tool does
\&.things, \(aqso\(aq \-\- a\eb.
.PP
.EX
  as they are
.EE
.SH COMMANDS
.SS group one
Do one.
.SS on
Switch on.
.TP
\fB\-\-fast\fR
soon
.TP
\fB\-l\fR, \fB\-\-level\fR \fILEVEL\fR
at which LEVEL (default: low)
.PP
.EX
  tool on x
  tool on y
.EE
.SH EXAMPLES
.EX
  tool on
.EE
.SH EXIT CODES
.EX
  0  fine
.EE
.SH NEEDS
.EX
  .much
.EE
.SH SEE ALSO
.BR netprobe.yaml (5),
.BR systemctl (1)
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// terminal interprets what Screen writes, so that the tests see what a person
// sees.
type terminal struct {
	lines []string
	row   int
}

func (tm *terminal) Write(p []byte) (int, error) {
	rest := string(p)
	for rest != "" {
		var up int
		switch {
		case strings.HasPrefix(rest, "\x1b[J"):
			tm.lines = tm.lines[:tm.row]
			rest = rest[3:]
		case strings.HasPrefix(rest, "\x1b["):
			if _, err := fmt.Sscanf(rest, "\x1b[%dA", &up); err != nil {
				return 0, err
			}
			tm.row -= up
			rest = rest[strings.IndexByte(rest, 'A')+1:]
		case rest[0] == '\r':
			rest = rest[1:]
		default:
			line, after, _ := strings.Cut(rest, "\n")
			tm.lines = append(tm.lines[:tm.row], line)
			tm.row++
			rest = after
		}
	}
	return len(p), nil
}

func TestScreenRedrawsInPlace(t *testing.T) {
	tm := &terminal{}
	s := &Screen{out: tm, size: func() (int, int, bool) { return 24, 10, true }}
	fmt.Fprintln(s, "before")
	for _, lines := range [][]string{{"old 1", "old 2", "old 3"}, {"head", "twelve chars"}} {
		if err := s.Draw(lines); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(s, "log %d\n", len(lines))
	}
	if diff := cmp.Diff([]string{"before", "log 3", "log 2", "head", "twelve ch…"}, tm.lines); diff != "" {
		t.Error(diff)
	}
}

func TestScreenKeepsWithinTheTerminal(t *testing.T) {
	tm := &terminal{}
	s := &Screen{out: tm, size: func() (int, int, bool) { return 4, 80, true }}
	for range 3 {
		if err := s.Draw([]string{"1", "2", "3", "4", "5"}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "… and 3 more lines; a taller terminal shows them"}, tm.lines); diff != "" {
		t.Error(diff)
	}
}

func TestScreenElsewhereIsPlainText(t *testing.T) {
	var b bytes.Buffer
	s := New(&b)
	for _, line := range []string{"one", "two"} {
		if err := s.Draw([]string{line}); err != nil {
			t.Fatal(err)
		}
	}
	if s.Live() || b.String() != "one\ntwo\n" {
		t.Errorf("got %q, live %v; want plain lines", b.String(), s.Live())
	}
}

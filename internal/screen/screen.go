// SPDX-License-Identifier: Apache-2.0

// Package screen draws tables for people: aligned, safe for a terminal, and on a
// terminal redrawn in place.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Screen is where the table is drawn. On a terminal it is redrawn in place, and
// what is written to the Screen (the log) appears above it; elsewhere every
// drawing is printed below the last. Any goroutine may use a Screen.
type Screen struct {
	mu    sync.Mutex
	out   io.Writer
	size  func() (rows, cols int, ok bool) // ok is false when out is no terminal
	lines []string                         // the table as drawn last
	drawn int                              // terminal lines that it takes now
}

// New returns a screen on f.
func New(f io.Writer) *Screen {
	s := &Screen{out: f, size: func() (int, int, bool) { return 0, 0, false }}
	if file, ok := f.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		s.size = func() (int, int, bool) {
			w, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
			if err != nil {
				return 0, 0, false
			}
			return int(w.Row), int(w.Col), true
		}
	}
	return s
}

// Live says whether the table is redrawn in place.
func (s *Screen) Live() bool {
	_, _, ok := s.size()
	return ok
}

// Draw shows lines instead of what was drawn before.
func (s *Screen) Draw(lines []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	s.erase(&b)
	s.lines = lines
	s.draw(&b)
	_, err := s.out.Write(b.Bytes())
	return err
}

// Write prints p above the table.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn == 0 {
		return s.out.Write(p)
	}
	var b bytes.Buffer
	s.erase(&b)
	b.Write(p)
	s.draw(&b)
	if _, err := s.out.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// erase moves to the table's first line and clears what is below.
func (s *Screen) erase(b *bytes.Buffer) {
	if s.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", s.drawn)
	}
	s.drawn = 0
}

func (s *Screen) draw(b *bytes.Buffer) {
	rows, cols, live := s.size()
	if !live {
		b.WriteString(strings.Join(s.lines, "\n") + "\n")
		return
	}
	lines := s.lines
	// More lines than the terminal has would scroll out of erase's reach.
	if rows > 2 && len(lines) > rows-1 {
		more := fmt.Sprintf("… and %d more lines; a taller terminal shows them", len(lines)-(rows-2))
		lines = append(append([]string(nil), lines[:rows-2]...), more)
	}
	for _, line := range lines {
		b.WriteString(Cut(line, cols) + "\n")
	}
	s.drawn = len(lines)
}

// Cut keeps a line from wrapping: a wrapped one takes two lines.
func Cut(line string, cols int) string {
	if cols < 2 || utf8.RuneCountInString(line) <= cols {
		return line
	}
	return string([]rune(line)[:cols-1]) + "…"
}

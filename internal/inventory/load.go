// SPDX-License-Identifier: Apache-2.0

// Package inventory streams lists of targets that are kept outside of the
// configuration: one JSON object a line, with netprobify's keys of a dynamic
// target. It is fast where a line is plain and leaves every other line to its
// caller; what a target means is not decided here.
package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// MaxLine is how many bytes a line may have.
const MaxLine = 64 << 10

// Line is one line of a list. It is valid until the next one is asked for.
type Line struct {
	Number int    // from 1
	Text   []byte // without the white space around it, never empty
	Long   bool   // the line is longer than MaxLine, and Text is its beginning

	// Target is what the line says if Plain; nothing is known of it otherwise.
	Target Target
	Plain  bool
}

// Load yields the lines of r that are not blank. The last pair has the error
// of r if it has one, and no line.
func Load(r io.Reader) iter.Seq2[*Line, error] {
	return func(yield func(*Line, error) bool) {
		in := bufio.NewReaderSize(r, MaxLine)
		var l Line
		for {
			text, err := in.ReadSlice('\n')
			l.Number++
			if l.Long = errors.Is(err, bufio.ErrBufferFull); l.Long {
				text = bytes.Clone(text[:min(len(text), shownOfLong)])
				err = skipLine(in)
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(nil, err)
				return
			}
			if l.Text = bytes.Trim(text, " \t\r\n"); len(l.Text) > 0 || l.Long {
				l.Plain = !l.Long && l.Target.scan(l.Text)
				if !yield(&l, nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// shownOfLong is how much is kept of a line that is too long.
const shownOfLong = 256

func skipLine(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

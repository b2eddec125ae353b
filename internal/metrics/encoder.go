// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"io"
	"strconv"
	"unicode/utf8"
)

// flushAt is the number of bytes after which the encoder writes.
const flushAt = 32 << 10

// encoder writes the text format, version 0.0.4, in large pieces and without
// allocating. After the first error it writes nothing more. One goroutine uses
// it at a time.
//
// Format: https://prometheus.io/docs/instrumenting/exposition_formats/
type encoder struct {
	w      io.Writer
	buf    []byte
	err    error
	labels int // written for the present sample
}

func (e *encoder) reset(w io.Writer) {
	e.w, e.buf, e.err, e.labels = w, e.buf[:0], nil, 0
}

// family writes HELP and TYPE. All samples of the family must follow before the
// next one.
func (e *encoder) family(f family) {
	e.buf = append(e.buf, "# HELP "...)
	e.buf = append(e.buf, f.name...)
	e.buf = append(e.buf, ' ')
	e.buf = append(e.buf, f.help...)
	e.buf = append(e.buf, "\n# TYPE "...)
	e.buf = append(e.buf, f.name...)
	e.buf = append(e.buf, ' ')
	e.buf = append(e.buf, f.typ...)
	e.buf = append(e.buf, '\n')
}

// begin starts a sample; labels follow, then uint or float.
func (e *encoder) begin(name string) {
	e.buf = append(e.buf, name...)
	e.labels = 0
}

func (e *encoder) labelName(name string) {
	if e.labels == 0 {
		e.buf = append(e.buf, '{')
	} else {
		e.buf = append(e.buf, ',')
	}
	e.labels++
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '=', '"')
}

func (e *encoder) label(name, value string) {
	e.labelName(name)
	e.buf = append(appendEscaped(e.buf, value), '"')
}

func (e *encoder) labelInt(name string, value int) {
	e.labelName(name)
	e.buf = append(strconv.AppendInt(e.buf, int64(value), 10), '"')
}

func (e *encoder) value() {
	if e.labels > 0 {
		e.buf = append(e.buf, '}')
	}
	e.buf = append(e.buf, ' ')
}

func (e *encoder) end() {
	e.buf = append(e.buf, '\n')
	if len(e.buf) >= flushAt {
		e.flush()
	}
}

// uint ends a sample with an integer value.
func (e *encoder) uint(v uint64) {
	e.value()
	e.buf = strconv.AppendUint(e.buf, v, 10)
	e.end()
}

// float ends a sample with the shortest text that reads back as v.
func (e *encoder) float(v float64) {
	e.value()
	e.buf = strconv.AppendFloat(e.buf, v, 'g', -1, 64)
	e.end()
}

// flush hands what was encoded to the writer.
func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// appendEscaped appends a label value: backslash, quote and line feed escaped,
// as the format demands. Bytes that are not UTF-8 become U+FFFD: a scraper
// drops the whole page for one of them.
func appendEscaped(b []byte, s string) []byte {
	from := 0 // s[from:i] needs no change and is not yet appended
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += n
			continue
		}
		if c == '\\' || c == '"' || c == '\n' {
			b = append(append(b, s[from:i]...), '\\')
			if c == '\n' {
				c = 'n'
			}
			b = append(b, c)
			from = i + 1
		}
		i++
	}
	return append(b, s[from:]...)
}

// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzEvents: whatever is read, in whatever pieces, events are the same, none is
// larger than allowed, and what an event is written as is read back.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"", "data: x\n\n", "data:x\r\ndata: y\r\n\r\n", ": c\n\n", "event: a\nid\ndata\n\n", "data: x\n", "\n\n\n", "data: " + strings.Repeat("x", 300) + "\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 200
		whole, small := newLines(bytes.NewReader(text), most), newLines(iotest.OneByteReader(bytes.NewReader(text)), most)
		for {
			a, err := whole.event()
			b, err2 := small.event()
			if !bytes.Equal(a, b) || (err == nil) != (err2 == nil) {
				t.Fatalf("at once %q, %v; byte by byte %q, %v", a, err, b, err2)
			}
			if err != nil {
				return
			}
			if len(a) > most {
				t.Fatalf("an event of %d bytes", len(a))
			}
			if bytes.Contains(a, []byte("\r")) {
				continue // before the end of a line it would be taken for part of it
			}
			written := "data: " + strings.ReplaceAll(string(a), "\n", "\ndata: ") + "\n\n"
			if again, err := newLines(strings.NewReader(written), 2*most).event(); err != nil || !bytes.Equal(a, again) {
				t.Fatalf("%q is read back as %q, %v", a, again, err)
			}
		}
	})
}

// FuzzValues: JSON lines are the same in whatever pieces they come, and none is
// larger than allowed, or empty, or cut.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "{}\n", "{}", "\n\n \n{}\r\n{}\n", strings.Repeat("x", 300)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 200
		whole, small := newLines(bytes.NewReader(text), most), newLines(iotest.OneByteReader(bytes.NewReader(text)), most)
		for {
			a, err := whole.value()
			b, err2 := small.value()
			if !bytes.Equal(a, b) || (err == nil) != (err2 == nil) {
				t.Fatalf("at once %q, %v; byte by byte %q, %v", a, err, b, err2)
			}
			if err != nil {
				return
			}
			if len(a) > most || len(bytes.TrimSpace(a)) == 0 || !bytes.Contains(text, append(bytes.Clone(a), '\n')) && !bytes.Contains(text, append(bytes.Clone(a), '\r', '\n')) {
				t.Fatalf("value %q of %q", a, text)
			}
		}
	})
}

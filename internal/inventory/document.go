// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// SyntaxError says where a document is not JSON.
type SyntaxError struct {
	Line int // from 1
	Err  error
}

// Error returns what is wrong, without the line.
func (e *SyntaxError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Items yields the items of a JSON list as Load yields lines; an item may be of
// any length and stand on several lines, and is known by its first. The last
// pair has a SyntaxError if data is no such list, and no item.
func Items(data []byte) iter.Seq2[*Line, error] {
	return func(yield func(*Line, error) bool) {
		var l Line
		dec := json.NewDecoder(bytes.NewReader(data))
		counted := 0 // bytes whose line ends are in lines
		lines := 1
		lineAt := func(offset int) int {
			offset = max(counted, min(offset, len(data)))
			lines += bytes.Count(data[counted:offset], []byte("\n"))
			counted = offset
			return lines
		}
		fail := func(err error) {
			at := int(dec.InputOffset())
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) && syntax.Offset > 0 {
				at = max(at, int(syntax.Offset)-1)
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				at, err = len(data), errors.New("it ends too early")
			}
			yield(nil, &SyntaxError{Line: lineAt(at), Err: err})
		}
		token, err := dec.Token()
		switch {
		case err != nil:
			fail(err)
			return
		case token != json.Delim('['):
			fail(fmt.Errorf("it begins with %.20q, not with [", fmt.Sprint(token)))
			return
		}
		var raw json.RawMessage
		var compact bytes.Buffer
		for dec.More() {
			if err := dec.Decode(&raw); err != nil {
				fail(err)
				return
			}
			l.Number = lineAt(int(dec.InputOffset()) - len(raw))
			l.Text = raw
			if bytes.ContainsAny(raw, "\r\n") {
				compact.Reset()
				if err := json.Compact(&compact, raw); err != nil {
					fail(err)
					return
				}
				l.Text = compact.Bytes()
			}
			l.Plain = l.Target.scan(l.Text)
			if !yield(&l, nil) {
				return
			}
		}
		if _, err := dec.Token(); err != nil { // the closing bracket
			fail(err)
			return
		}
		if _, err := dec.Token(); err == nil {
			fail(errors.New("something stands behind the list"))
		} else if !errors.Is(err, io.EOF) {
			fail(err)
		}
	}
}

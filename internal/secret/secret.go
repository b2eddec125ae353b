// SPDX-License-Identifier: Apache-2.0

// Package secret holds passwords and tokens so that they are never shown, and
// reads them from files.
package secret

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
)

// Text is a password, a token or a header with one, or the file that holds it. It
// never shows itself. It does not change: any goroutine may use it.
type Text struct {
	text, file string
}

// New returns a secret that is known.
func New(text string) Text { return Text{text: text} }

// InFile returns a secret that is the only line of a file, read each time it is
// needed, since it may be replaced. Without a name there is none.
func InFile(name string) Text { return Text{file: name} }

// Set is whether there is one.
func (s Text) Set() bool { return s != Text{} }

// File is the file that holds the secret, "" if there is none.
func (s Text) File() string { return s.file }

// String hides the secret, also from %v and from logs.
func (s Text) String() string {
	switch {
	case s.file != "":
		return "(in " + s.file + ")"
	case s.text != "":
		return "(hidden)"
	}
	return ""
}

// GoString hides the secret from %#v.
func (s Text) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from JSON, YAML and the log.
func (s Text) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MaxBytes is how many bytes a file with a secret may hold; tokens have some
// thousand.
const MaxBytes = 64 << 10

// Read returns the secret itself. The error names the file, and what to do.
func (s Text) Read() (string, error) {
	if s.file == "" {
		return s.text, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w; make it readable for the user that runs netprobe-xdp", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case len(text) > MaxBytes:
		err = fmt.Errorf("the file of the secret, %s, holds more than %d bytes; put the secret alone into it", s.file, MaxBytes)
	case len(text) == 0:
		err = fmt.Errorf("the file of the secret, %s, is empty; put the secret into it", s.file)
	case bytes.ContainsAny(text, "\r\n\x00"):
		err = fmt.Errorf("the file of the secret, %s, holds several lines; put the secret alone into it", s.file)
	}
	if err != nil {
		return "", err
	}
	return string(text), nil
}

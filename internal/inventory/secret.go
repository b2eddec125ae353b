// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Secret is a password or a token, or the file that holds it. It never shows
// itself.
type Secret struct {
	text, file string
}

// NewSecret returns a secret that is known.
func NewSecret(text string) Secret { return Secret{text: text} }

// SecretFile returns a secret that is the first line of a file, read each time
// it is needed.
func SecretFile(name string) Secret { return Secret{file: name} }

// Set is whether there is one.
func (s Secret) Set() bool { return s != Secret{} }

// File is the file that holds the secret, "" if there is none.
func (s Secret) File() string { return s.file }

// String hides the secret, also from %v and from logs.
func (s Secret) String() string {
	switch {
	case s.file != "":
		return "(in " + s.file + ")"
	case s.text != "":
		return "(hidden)"
	}
	return ""
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSecret is how many bytes a secret may have; tokens have some thousand.
const maxSecret = 64 << 10

// read returns the secret itself.
func (s Secret) read() (string, error) {
	if s.file == "" {
		return s.text, nil
	}
	f, err := os.Open(s.file)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case len(text) > maxSecret:
		err = fmt.Errorf("the file of the secret, %s, holds more than %d bytes; put the secret alone into it", s.file, maxSecret)
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

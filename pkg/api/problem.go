// SPDX-License-Identifier: Apache-2.0

package api

import "strings"

// Problem is what is wrong with a request (RFC 9457). Every answer with a status of
// 400 and above has one.
type Problem struct {
	// Type is "about:blank": the status says what kind of problem it is.
	Type   string `json:"type"`
	Title  string `json:"title"`  // of the status
	Status int    `json:"status"` // as in the answer's first line
	Detail string `json:"detail"` // for a person: what is wrong, and what to do

	// Errors names the fields that are wrong.
	Errors []FieldError `json:"errors,omitempty"`
}

// FieldError is one thing that is wrong with what was sent.
type FieldError struct {
	// Field is a JSON pointer (RFC 6901) into the body, the name of a parameter of
	// the path or of the query, or file:line: key where a file of the configuration
	// is wrong.
	Field  string `json:"field"`
	Detail string `json:"detail"` // what was read, and what is allowed
}

// What the Detail of a FieldError begins with where a daemon does not know a field or a
// parameter at all: to a client of this package, it is older.
const (
	UnknownField     = "not a field of this version"
	UnknownParameter = "not a parameter that is known"
)

// Error is the detail, and each field with what is wrong.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for i, f := range p.Errors {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(f.Field + ": " + f.Detail)
	}
	return b.String()
}

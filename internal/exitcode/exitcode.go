// SPDX-License-Identifier: Apache-2.0

// Package exitcode says with which status the program ends, and carries that
// status through wrapped errors from where a fault is known to main.
package exitcode

import "errors"

// The exit codes of every subcommand but probe. 64 and above are those of
// sysexits(3).
const (
	OK           = 0
	Runtime      = 1  // failed while running
	Usage        = 64 // wrong flags or arguments
	Config       = 65 // the configuration has faults
	NoInput      = 66 // a file cannot be read
	Unavailable  = 69 // interface, kernel, XDP slot or port unavailable
	NoPermission = 77 // not root, or a capability is missing

	Interrupted = 130 // ended by a signal before there was a result
)

// Error is an error that knows its exit code.
type Error struct {
	Code int
	Err  error
}

// Error returns the text of the wrapped error.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }

// With attaches an exit code to err. It returns nil for a nil err.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Of returns the exit code for err: 0 for nil, the outermost attached code
// where there is one, Runtime otherwise.
func Of(err error) int {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Runtime
}

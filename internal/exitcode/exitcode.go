// SPDX-License-Identifier: Apache-2.0

// Package exitcode says with which status the program ends, and carries that
// status through wrapped errors from where a fault is known to main.
package exitcode

import "errors"

// The exit codes of every subcommand but probe. 64 and above are those of
// sysexits(3).
const (
	OK           = 0
	Runtime      = 1
	Usage        = 64
	Config       = 65
	NoInput      = 66
	Unavailable  = 69
	NoPermission = 77
	Interrupted  = 130
)

// The exit codes of probe beside 0 are those of fping(8).
const (
	ProbeSilent   = 1 // some address did not answer
	ProbeNotFound = 2 // some name has no address
	ProbeUsage    = 3
	ProbeSystem   = 4
)

// Meaning is an exit code and what it means, for people.
type Meaning struct {
	Code int
	Text string
}

// Meanings returns what --help and the documentation say of the exit codes.
func Meanings() []Meaning {
	return []Meaning{
		{OK, "success; also an end of run or demo by SIGINT or SIGTERM"},
		{Runtime, "failed while running"},
		{Usage, "wrong command line"},
		{Config, "the configuration has faults"},
		{NoInput, "a file cannot be read"},
		{Unavailable, "interface, kernel, XDP slot or port unavailable; of ctl: no daemon answers, or none that it understands"},
		{NoPermission, "not root, or a capability is missing; of ctl: the socket is for others, or the token is not right"},
		{Interrupted, "ended by a signal before there was a result"},
	}
}

// ProbeMeanings returns what the exit codes of probe mean.
func ProbeMeanings() []Meaning {
	return []Meaning{
		{OK, "each address answered at least once"},
		{ProbeSilent, "some address did not answer"},
		{ProbeNotFound, "some name has no address"},
		{ProbeUsage, "wrong command line, or more is asked for than the caps and the refused ranges allow"},
		{ProbeSystem, "system failure: interface, kernel, XDP slot, permission or file"},
	}
}

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

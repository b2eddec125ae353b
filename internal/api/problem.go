// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// NewProblem returns a problem; detail says what is wrong and what to do.
func NewProblem(status int, detail string, fields ...wire.FieldError) *wire.Problem {
	return &wire.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}
}

// fail answers with a problem, once it has what the client is about to send: one that
// closes after this request would find the connection closed under its body, and not
// read why.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, told := errors.AsType[*wire.Problem](err)
	if !told {
		h.log.Warn("api: a request failed", "path", r.URL.Path, "error", err)
		p = NewProblem(http.StatusInternalServerError, err.Error())
	}
	if r.Header.Get("Expect") == "" { // else it waits to be asked for its body
		_, _ = io.CopyN(io.Discard, r.Body, maxBody)
	}
	w.Header().Set("Content-Type", wire.ProblemType)
	writeJSON(w, p.Status, p)
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails when the client has gone
}

// read decodes the body of a request, of at most limit bytes, into v. What is not
// known, or wrong, is a problem that names it. An absent body leaves v as it is
// where that is allowed.
func read(w http.ResponseWriter, r *http.Request, limit int64, v any, mayBeAbsent bool) error {
	body := http.MaxBytesReader(w, r.Body, limit)
	if mayBeAbsent && r.ContentLength == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return NewProblem(http.StatusUnsupportedMediaType, "the body has to be JSON; send it with Content-Type: application/json")
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	one := err == nil
	if one {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes; ask for less at once", tooLarge.Limit))
	}
	if one {
		return NewProblem(http.StatusBadRequest, "the body goes on after its JSON value; send one")
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return NewProblem(http.StatusBadRequest, "a field has the wrong type",
			wire.FieldError{Field: "/" + strings.ReplaceAll(wrong.Field, ".", "/"), Detail: "read " + wrong.Value + "; allowed: " + kindOf(wrong)})
	}
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
		return NewProblem(http.StatusBadRequest, "a field is not known", wire.FieldError{Field: "/" + strings.TrimSuffix(name, `"`), Detail: wire.UnknownField + ", " + wire.Version + "; leave it out"})
	}
	return NewProblem(http.StatusBadRequest, "the body is no JSON: "+err.Error())
}

func kindOf(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); {
	case strings.HasPrefix(kind, "uint"):
		return "a whole number, 0 and above, that fits " + kind
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice":
		return "a list"
	case kind == "string":
		return "text"
	case kind == "bool":
		return "true or false"
	}
	return "an object"
}

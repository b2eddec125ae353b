// SPDX-License-Identifier: Apache-2.0

package api

import (
	_ "embed"
	"net/http"
)

// document describes the API. It is written by hand, beside the types of pkg/api; a
// test holds the routes, the types and every answer to it.
//
//go:embed openapi.yaml
var document []byte

func (h *handler) openapi(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(document)
	return nil
}

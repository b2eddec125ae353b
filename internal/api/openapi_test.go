// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	wire "github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// described returns the document, which has to be a valid one.
func described(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Every route is in the document, and it has no others.
func TestDocumentHasTheRoutes(t *testing.T) {
	var served, written []string
	for _, r := range routes {
		served = append(served, r.pattern)
	}
	for path, item := range described(t).Paths.Map() {
		for method := range item.Operations() {
			written = append(written, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(written)
	if !slices.Equal(served, written) {
		t.Errorf("served are\n%s\nand the document has\n%s", strings.Join(served, "\n"), strings.Join(written, "\n"))
	}
}

// What targets can be asked for by, the Go client has.
func TestClientHasTheQuery(t *testing.T) {
	var written, has []string
	for _, p := range described(t).Paths.Find("/targets").Get.Parameters {
		written = append(written, p.Value.Name)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[client.Query]()) {
		has = append(has, strings.ToLower(f.Name))
	}
	slices.Sort(written)
	slices.Sort(has)
	if !slices.Equal(has, written) {
		t.Errorf("the client has %q, the document %q", has, written)
	}
}

// The types of pkg/api that a client sends or reads.
var wireTypes = []any{
	wire.AddTargets{}, wire.Config{}, wire.Event{}, wire.Info{}, wire.Pause{}, wire.Problem{}, wire.Reloaded{}, wire.State{}, wire.Status{},
	wire.TargetDetail{}, wire.Targets{}, wire.Worst{}, wire.History{}, wire.ProbeRequest{}, wire.ProbeEvent{},
}

// The document's schemas have the types' fields, no others, and say of the same ones
// that they are always there.
func TestDocumentHasTheTypes(t *testing.T) {
	schemas := described(t).Components.Schemas
	seen := map[string]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if name := typ.Name(); name == "Time" || seen[name] {
			return
		}
		seen[typ.Name()] = true
		schema := schemas[typ.Name()]
		if schema == nil {
			t.Errorf("there is no schema %s", typ.Name())
			return
		}
		var fields, always []string
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				look(f.Type)
				continue
			}
			look(f.Type)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if fields = append(fields, name); options != "omitempty" {
				always = append(always, name)
			}
		}
		slices.Sort(fields)
		slices.Sort(always)
		if written := slices.Sorted(maps.Keys(schema.Value.Properties)); !slices.Equal(fields, written) {
			t.Errorf("%s has %q, its schema %q", typ.Name(), fields, written)
		}
		if required := slices.Sorted(slices.Values(schema.Value.Required)); !slices.Equal(always, required) {
			t.Errorf("%s has always %q, its schema %q", typ.Name(), always, required)
		}
	}
	for _, v := range wireTypes {
		look(reflect.TypeOf(v))
	}
	for name := range schemas {
		if !seen[name] {
			t.Errorf("the schema %s is of no type", name)
		}
	}
}

// Whatever is sent as a body or a query is taken, or refused with a problem.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"", "{}", `{"targets": [{"name": "a"}]}`, `{"targets": 1}`, `{"a": 1}`, "[]", `{"owner": "a"} {}`, `{"targets": [{"dst_port": 70000}]}`, "\xff"} {
		f.Add(s, "limit=1&sort=worst&filter=a")
	}
	f.Add("", "limit=x&limit=1&none=1;%zz")
	f.Fuzz(func(t *testing.T, body, query string) {
		judge := func(err error) {
			p, ok := err.(*wire.Problem)
			if err != nil && (!ok || p.Status < 400 || p.Status > 499 || p.Detail == "" || p.Title == "") {
				t.Errorf("%q, %q: %v", body, query, err)
			}
		}
		r, err := http.NewRequest(http.MethodPost, "http://x/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		var req wire.AddTargets
		judge(read(nil, r, 1<<16, &req, false))
		r.URL.RawQuery = query
		q, err := readQuery(r.URL.Query())
		if judge(err); err == nil && (q.Limit < 1 || q.Limit > mostTargets || q.Offset < 0 || len(q.Filter) > maxFilter) {
			t.Errorf("%q: %+v", query, q)
		}
	})
}

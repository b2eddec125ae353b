// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Ours is Apache-2.0, and the binary is linked statically. These ask for no more
// than to be named (MPL-2.0: and for its own files to stay open), and fit.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// licences are told by sentences that their authors leave as they are, not by
// title: many copies have none. Spaces are single and all is small.
var licences = []struct {
	id      string
	has     []string
	without []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0", "licensed under the apache license"}, nil},
	{"Apache-2.0", []string{"apache license version 2.0, january 2004", "terms and conditions for use, reproduction, and distribution"}, nil},
	{"MPL-2.0", []string{"mozilla public license version 2.0"}, nil},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "the above copyright notice and this permission notice"}, nil},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}, nil},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}, []string{"all advertising materials"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}, []string{"neither the name", "all advertising materials"}},
	{"GPL", []string{"gnu general public license"}, nil},
	{"LGPL", []string{"gnu lesser general public license"}, nil},
	{"AGPL", []string{"gnu affero general public license"}, nil},
}

var (
	spaces      = regexp.MustCompile(`\s+`)
	licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying)([.-].*)?$`)
)

// classify returns the licences that a text holds, each once; none where it is
// unknown.
func classify(text string) (ids []string) {
	text = strings.ToLower(spaces.ReplaceAllString(text, " "))
	all := func(sentences []string, in bool) bool {
		for _, s := range sentences {
			if strings.Contains(text, s) != in {
				return false
			}
		}
		return true
	}
	for _, l := range licences {
		if all(l.has, true) && all(l.without, false) && !slices.Contains(ids, l.id) {
			ids = append(ids, l.id)
		}
	}
	// These texts name each other: the GPL says what it is not.
	if slices.Contains(ids, "MPL-2.0") {
		ids = slices.DeleteFunc(ids, func(id string) bool { return strings.HasSuffix(id, "GPL") })
	}
	return ids
}

// module is what go list says of one.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// modules returns every module of which a package is compiled into the program
// or its tests.
func modules(t *testing.T) []module {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=Module", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []module
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct{ Module *module }
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.Module != nil && !p.Module.Main && !slices.Contains(all, *p.Module) {
			all = append(all, *p.Module)
		}
	}
}

// TestLicences: every module that we link has a licence that we know, at its
// root, and that lets us. It is our own check because the known ones bring more
// modules than they would judge.
func TestLicences(t *testing.T) {
	all := modules(t)
	if len(all) < 10 {
		t.Fatalf("%d modules: that are not all", len(all))
	}
	for _, m := range all {
		entries, err := os.ReadDir(m.Dir)
		if err != nil {
			t.Errorf("%s %s: %v", m.Path, m.Version, err)
			continue
		}
		var held []string
		for _, e := range entries {
			if !licenceFile.MatchString(e.Name()) || e.IsDir() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			ids := classify(string(text))
			if len(ids) == 0 {
				t.Errorf("%s %s: %s is no licence that we know; read it, then add it to licences or leave the module", m.Path, m.Version, e.Name())
			}
			held = append(held, ids...)
		}
		t.Logf("%-45s %-12s %s", m.Path, m.Version, strings.Join(held, ", "))
		if len(held) == 0 {
			t.Errorf("%s %s: no licence at its root", m.Path, m.Version)
		}
		for _, id := range held {
			if !slices.Contains(allowed, id) {
				t.Errorf("%s %s: %s is not among those we may link: %v", m.Path, m.Version, id, allowed)
			}
		}
	}
}

// TestClassify holds the check against texts whose licence is known.
func TestClassify(t *testing.T) {
	own := func(name string) string {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const bsd = "Redistribution and use in source and\n binary forms, with or without modification, are permitted provided that"
	for _, test := range []struct {
		text string
		want []string
	}{
		{own("LICENSE"), []string{"Apache-2.0"}},
		{own("LICENSES/BSD-2-Clause.txt"), []string{"BSD-2-Clause"}},
		{own("LICENSES/GPL-2.0-only.txt"), []string{"GPL"}},
		{bsd + " ... Neither the name of the author", []string{"BSD-3-Clause"}},
		{bsd + " ... All advertising materials mentioning ... Neither the name of", nil},
		{"All rights reserved. Ask first.", nil},
		{"", nil},
	} {
		got := classify(test.text)
		got = slices.DeleteFunc(got, func(id string) bool { return id == "LGPL" }) // the GPL's last paragraph recommends it
		if !slices.Equal(got, test.want) {
			t.Errorf("%.40q: %v, want %v", test.text, got, test.want)
		}
	}
}

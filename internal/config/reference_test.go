// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/generated"
)

const referenceIntro = generated.Notice + `
Keys of ` + "`netprobe.yaml`" + ` and of the ` + "`--settings`" + ` file. How they work together, with an example of each, is in
[configs/netprobe.yaml](../../configs/netprobe.yaml) and [configs/settings.yaml](../../configs/settings.yaml). "Reload" says what it
takes for another value: a reload, or a restart of the program. ` + "`groups`, `targets` and `inventories`" + ` follow a reload.

A key of a section with plain keys can come from the environment, which wins over the files:
` + "`NETPROBE_SECTION__KEY`" + `, in capitals, lists with commas, such as ` + "`NETPROBE_ENGINE__INTERFACES=eth1,eth2`" + `. Flags win over both.
`

// nothing is a value that no key takes: what a reader has against it says what it
// takes.
func nothing(d *decoder) value {
	return value{d: d, file: "f", path: []string{"k"}, node: &yaml.Node{Kind: yaml.AliasNode, Tag: "!!none"}}
}

// allowed is what a reader says that it takes.
func allowed(t *testing.T, name string, read func(value)) string {
	d := newDecoder(Options{})
	read(nothing(d))
	if len(d.faults) == 0 {
		t.Fatalf("%s takes a value that is none", name)
	}
	return strings.TrimPrefix(d.faults[0].Allowed, "allowed: ")
}

// shownDefault writes a default as a person would in the file, where what is
// allowed is a time or a number of seconds.
func shownDefault(v any, allowed string) string {
	switch v := v.(type) {
	case nil:
		return ""
	case time.Duration:
		if strings.HasPrefix(allowed, "a number") || strings.HasPrefix(allowed, "a whole number") {
			return fmt.Sprintf("`%g`", v.Seconds())
		}
		text := v.String() // 1m0s is written 1m
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		return "`" + text + "`"
	case string:
		if v == "" || v == "None" {
			return ""
		}
		return "`" + v + "`"
	case int:
		if v >= 1<<20 && v%(1<<20) == 0 {
			return fmt.Sprintf("`%dMiB`", v>>20)
		}
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return "`[" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(v), "[]")), ", ") + "]`"
	}
	return fmt.Sprintf("`%v`", v)
}

// rows are those of the keys of a map, those of maps in it behind theirs.
func rows[T any](t *testing.T, keys []key[T], begin T, prefix string, inner map[string][]key[T]) (all [][]string) {
	for _, k := range keys {
		if k.doc == "" {
			t.Errorf("%s has no doc", k.name)
		}
		absent, takes := "", allowed(t, k.name, func(v value) { x := begin; k.read(&x, v) })
		if k.absent != nil {
			absent = shownDefault(k.absent(&begin), takes)
		}
		all = append(all, []string{"`" + prefix + k.name + "`", k.doc, takes, absent})
		all = append(all, rows(t, inner[k.name], begin, prefix+k.name+".", nil)...)
	}
	return all
}

// TestReference: docs/reference/configuration.md has each key that there is.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Configuration keys\n\n" + referenceIntro)
	flags := map[string]string{}
	for name, key := range flagKeys {
		flags[key] = name
	}
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", s.name)
		if s.ours {
			b.WriteString("Our own: in either file.\n\n")
		}
		table := [][]string{{"key", "meaning", "allowed", "default", "reload"}}
		for _, f := range s.fields {
			takes := allowed(t, f.name, func(v value) { f.read(v) })
			doc, absent, reload := f.doc, shownDefault(f.absent, takes), "reload"
			if flag := flags[s.name+"."+f.name]; flag != "" {
				doc += "; `--" + flag + "` wins"
			}
			if f.required != "" {
				absent = "required"
			}
			if f.restart {
				reload = "restart"
			}
			if f.unused {
				doc, absent, reload = "accepted for netprobify, not used", "", ""
			}
			if doc == "" {
				t.Errorf("%s.%s has no doc", s.name, f.name)
			}
			table = append(table, []string{"`" + f.name + "`", doc, takes, absent, reload})
		}
		b.WriteString(generated.Table(table))
	}
	head := [][]string{{"key", "meaning", "allowed", "default"}}
	target := targetDraft{auto: true, Target: defaultTarget}
	inner := map[string][]key[targetDraft]{"threshold": thresholdKeys, "explicit_groups": explicitKeys}
	for _, part := range []struct {
		title, intro string
		rows         [][]string
	}{
		{"groups", "A map of groups, each with " + nameAllowed + ". `{}` takes every default.", rows(t, groupKeys, groupDraft{Group: defaultGroup}, "", nil)},
		{"targets", "A map of targets, each with " + nameAllowed + ". `type` and `destination` are required.", rows(t, targetKeys, target, "", inner)},
		{"inventories", "A map of inventories by name; each has one of `file`, `url` and `command`. Our own: in either file. [inventories.md](../inventories.md) explains them.", rows(t, inventoryKeys, defaultInventory, "", nil)},
		{"Objects of an inventory's list", "`hostname`, `type`, `destination` and `groups` are required, by the object or by `defaults`.", rows(t, listedKeys, target, "", inner)},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s", part.title, part.intro, generated.Table(slices.Concat(head, part.rows)))
	}
	generated.Page(t, "configuration.md", b.String())
}

// What a restart only takes up is named in the log with its value: it must be no
// secret.
func TestRestartShowsNoSecret(t *testing.T) {
	for _, s := range sections {
		for _, f := range s.fields {
			for _, word := range []string{"password", "token", "secret", "header"} {
				if f.restart && strings.Contains(f.name, word) && !strings.HasSuffix(f.name, "_file") {
					t.Errorf("%s.%s: NeedsRestart would show it", s.name, f.name)
				}
			}
		}
	}
}

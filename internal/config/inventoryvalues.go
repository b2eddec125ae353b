// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

func (v value) secretInto(to *secret.Text) {
	if s, ok := v.secret(); ok {
		*to = secret.New(s)
	}
}

func (v value) secretFileInto(to *secret.Text) {
	if name, ok := v.fileName(); ok {
		*to = secret.InFile(name)
	}
}

func (v value) webAddress() (string, bool) {
	const allowed = "an address such as https://discovery.example.com/targets"
	s, ok := v.text(allowed)
	if !ok {
		return "", false
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		v.fault("read no http or https address", "allowed: "+allowed) // it may hold a key: it is not repeated
		return "", false
	case u.User != nil:
		v.fault("read an address with a user's name in it", "allowed: an address without; put it into user and password_file")
		return "", false
	}
	return s, true
}

func (v value) commandLine() ([]string, bool) {
	const allowed = "a list of text, the executable first, such as [/usr/local/bin/list-racks, --site, paris]"
	items, ok := v.items(allowed)
	if ok && len(items) == 0 {
		v.wrong(allowed)
		return nil, false
	}
	var args []string
	for i, it := range items {
		s, good := it.text("text")
		if good && (strings.ContainsRune(s, 0) || i == 0 && s == "") {
			it.wrong("text")
			good = false
		}
		ok = ok && good
		args = append(args, s)
	}
	return args, ok
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment reads variables. Their values may be secret.
func (v value) environment() ([]string, bool) {
	entries, ok := v.entries("a map of variables, at most 100", maxKeys)
	var all []string
	for _, e := range entries {
		switch {
		case !variableName.MatchString(e.name()):
			e.fault("read the name "+fmt.Sprintf("%q", shorten(e.name(), maxShown)), "allowed: a name of letters, digits and _")
			ok = false
		case e.node.Kind != yaml.ScalarNode || classify(e.node) != kindText || strings.ContainsRune(e.node.Value, 0):
			e.fault("read something that is not text", "allowed: text; put it in quotes")
			ok = false
		default:
			all = append(all, e.name()+"="+e.node.Value)
		}
	}
	return all, ok
}

// inventoryVariable reads a variable that holds a secret of an inventory, which
// wins over the file. It returns false for all other variables.
func (d *decoder) inventoryVariable(name, text string) bool {
	rest, ok := strings.CutPrefix(name, envPrefix+"INVENTORIES__")
	if !ok {
		return false
	}
	which, key, _ := strings.Cut(rest, "__")
	at := origin{file: fromEnvironment, key: name}
	for i := range d.inventories {
		inv := &d.inventories[i]
		if inv.url == "" || variableOf(inv.name) != which {
			continue
		}
		switch key {
		case "USER":
			inv.username, inv.token = text, secret.Text{}
		case "PASSWORD":
			inv.password = secret.New(text)
		case "PASSWORD_FILE":
			inv.password = secret.InFile(text)
		case "BEARER_TOKEN":
			inv.token = secret.New(text)
		case "BEARER_TOKEN_FILE":
			inv.token = secret.InFile(text)
		default:
			return false
		}
		d.cfg.positions.set([]string{"inventories", inv.name, strings.ToLower(key)}, at, 0)
		if text == "" {
			d.faults = append(d.faults, Fault{File: fromEnvironment, Key: name, Read: "read nothing", Allowed: "allowed: the value of " + strings.ToLower(key) + "; unset it otherwise"})
		}
		return true
	}
	return false
}

var unfitForVariable = regexp.MustCompile(`[^A-Z0-9_]`)

// variableOf is how an inventory is called in the names of variables.
func variableOf(name string) string {
	return unfitForVariable.ReplaceAllString(strings.ToUpper(name), "_")
}

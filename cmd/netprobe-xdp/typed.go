// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// flagsOf are the flags that a field of a request is made of, where they are not
// called as it is.
var flagsOf = map[string][]string{
	"address_family":  {"family"},
	"groups":          {"group"},
	"ip_payload_size": {"size"},
	"labels":          {"label"},
	"lifetime":        {"lifetime", "for"},
	"nb_packets":      {"packets"},
	"source_ports":    {"source-port"},
}

// typed words what is wrong with a request for somebody who typed a command line: each
// field is the flag, or the target as it was typed, that it is from. The targets are those
// of the request, in its order.
func typed(cmd *cobra.Command, p *api.Problem, targets ...string) *api.Problem {
	said := *p
	said.Errors = nil
	for _, e := range p.Errors {
		switch field, inBody := strings.CutPrefix(e.Field, "/"); {
		case !inBody && e.Field == "name": // of the path
			said.Detail += `; "netprobe-xdp ctl targets" lists those that there are`
			continue
		case inBody:
			e.Field = typedField(cmd, field, targets)
		case cmd.Flags().Lookup(e.Field) != nil:
			e.Field = "--" + e.Field
		}
		said.Errors = append(said.Errors, e)
	}
	return &said
}

// typedField is what somebody typed of a field of the body, a path without its first
// slash.
func typedField(cmd *cobra.Command, field string, targets []string) string {
	keys := strings.Split(field, "/")
	target := ""
	if keys[0] == "targets" && len(keys) > 1 {
		if n, err := strconv.Atoi(keys[1]); err == nil && n >= 0 && n < len(targets) {
			target, keys = targets[n], keys[2:]
		}
	}
	if len(keys) > 0 {
		key := strings.TrimSuffix(keys[0], "_seconds")
		for _, name := range append(slices.Clone(flagsOf[key]), key) {
			// Of a target that is named, a flag is meant only where it was given.
			if f := cmd.Flags().Lookup(name); f != nil && (target == "" || f.Changed) {
				return "--" + name
			}
		}
	}
	if target != "" {
		return target
	}
	return field
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// TestTyped: what is wrong with a request is told in what was typed.
func TestTyped(t *testing.T) {
	specs := []string{"tcp://192.0.2.1:443", "icmp://192.0.2.2"}
	for _, tt := range []struct {
		line, field, want string
	}{
		{"ctl add --timeout 9m", "/targets/1/timeout_seconds", "--timeout"},
		{"ctl add", "/targets/1/timeout_seconds", "icmp://192.0.2.2"},
		{"ctl add", "/targets/0/destination", "tcp://192.0.2.1:443"},
		{"ctl add", "/targets/0", "tcp://192.0.2.1:443"},
		{"ctl add --label a-b=c", "/targets/0/labels/a-b", "--label"},
		{"ctl add --packets 0", "/targets/0/nb_packets", "--packets"},
		{"ctl add --name .", "/targets/0/name", "--name"},
		{"ctl add", "/targets/0/name", "tcp://192.0.2.1:443"},
		{"ctl add", "/targets/7/name", "targets/7/name"},
		{"ctl add", "/targets", "targets"},
		{"ctl add", "/owner", "--owner"},
		{"ctl add", "/lifetime_seconds", "--lifetime"},
		{"ctl pause", "/lifetime_seconds", "--for"},
		{"ctl remove", "owner", "--owner"},
		{"ctl targets", "sort", "--sort"},
		{"ctl targets", "elsewhere", "elsewhere"},
		{"probe", "/interval_seconds", "--interval"},
		{"probe", "/source_ports", "--source-port"},
		{"probe", "/count", "--count"},
		{"probe --size 9", "/targets/0/ip_payload_size", "--size"},
	} {
		cmd, flags, err := newRoot().Find(strings.Fields(tt.line))
		if err == nil {
			err = cmd.ParseFlags(flags)
		}
		if err != nil {
			t.Fatal(err)
		}
		p := &api.Problem{Detail: "no", Errors: []api.FieldError{{Field: tt.field, Detail: "so"}}}
		if got := typed(cmd, p, specs...).Error(); got != "no: "+tt.want+": so" || p.Errors[0].Field != tt.field {
			t.Errorf("%s: %s is %q, want %q", tt.line, tt.field, got, tt.want)
		}
	}
}

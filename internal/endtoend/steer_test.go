// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	apiclient "github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// TestSteered: targets are added, paused, resumed and removed, and all sending
// stopped and started, over the socket; what happens is told as it does.
func TestSteered(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	b.AddAddr("192.0.2.3/24")
	dir := folder(t, map[string]string{"netprobe.yaml": pings(usual)})
	socket := filepath.Join(dir, "api.sock")
	p := place{host: a.Host, env: []string{"NETPROBE_API__SOCKET=" + socket}}.start(t, "run", "--iface", a.Name, "--config", filepath.Join(dir, "netprobe.yaml"))
	p.waitFor("msg=probing")
	c, err := apiclient.New(apiclient.Options{Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan api.Event, 1000)
	go func() {
		for ev, err := range c.Events(ctx, true) {
			if err == nil {
				told <- ev
			}
		}
	}()
	hear := func(what string, is func(api.Event) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			for {
				select {
				case ev := <-told:
					if is(ev) {
						return true
					}
				default:
					return false
				}
			}
		})
	}
	hear("a round", func(ev api.Event) bool { return ev.Type == api.EventRound && ev.Round != nil })

	changed, err := c.AddTargets(ctx, api.AddTargets{Owner: "test", Targets: []api.TargetSpec{{Name: "added", Type: "ICMPping", Destination: "192.0.2.3"}}})
	if must(err); len(changed.Enabled) != 1 || changed.Enabled[0] != "added" {
		t.Errorf("%+v", changed)
	}
	measured(t, a.Host, usual, "icmp", "added")
	one, err := c.Target(ctx, "added")
	if must(err); one.Source != "api" || one.Owner != "test" {
		t.Errorf("%+v", one)
	}
	hear("that a target was added", func(ev api.Event) bool { return ev.Type == api.EventTargets })

	must(c.Pause(ctx, "added", api.Pause{}))
	if _, there := scrape(t, a.Host, usual).value("icmp_loss_ratio", "destination=added"); there {
		t.Error("a paused target has a series")
	}
	if one, err = c.Target(ctx, "added"); err != nil || !one.Paused {
		t.Errorf("%+v, %v", one, err)
	}
	must(c.Resume(ctx, "added"))
	measured(t, a.Host, usual, "icmp", "added")

	must(c.Stop(ctx))
	if s, err := c.Status(ctx); err != nil || !s.Stopped || s.StoppedReason == "" {
		t.Errorf("%+v, %v", s, err)
	}
	hear("that sending stopped", func(ev api.Event) bool { return ev.Type == api.EventSending })
	eventually(t, "probes are not sent, because stopped", func() bool {
		n, there := scrape(t, a.Host, usual).value("netprobe_not_sent_total", "reason=stopped")
		return there && n > 0
	})
	_, err = c.Reload(ctx)
	must(err)
	if s, err := c.Status(ctx); err != nil || !s.Stopped {
		t.Errorf("after a reload: %+v, %v", s, err)
	}
	must(c.Start(ctx))
	must(c.RemoveTarget(ctx, "added", "test"))
	found, err := c.Targets(ctx, apiclient.Query{Source: "api"})
	if must(err); found.Total != 0 {
		t.Errorf("%+v", found)
	}
}

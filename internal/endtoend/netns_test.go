// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"fmt"
	"testing"
)

// TestNetNS: with --netns the packets leave inside the namespace, and the
// metrics are served where the command was started.
func TestNetNS(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	sleeper, err := a.Host.Start(t.Context(), "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	for name, ns := range map[string]string{
		"name":         a.Host.Netns,
		"path":         "/run/netns/" + a.Host.Netns,
		"of a process": fmt.Sprintf("/proc/%d/ns/net", sleeper.PID()),
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			p := place{}.start(t, "run", "--iface", a.Name, "--netns", ns, "--config", file(t, "netprobe.yaml", pings(port)))
			p.waitFor("msg=probing")
			measured(t, nil, port, "icmp", "four", "six")
			if xdp(t, a) == (slot{}) {
				t.Error("nothing is attached in the namespace of the packets")
			}
			for _, h := range []struct {
				what string
				up   bool
			}{{"the namespace of the packets", listening(t, a.Host, port)}, {"the other host", listening(t, b.Host, port)}} {
				if h.up {
					t.Errorf("the metrics are served in %s", h.what)
				}
			}
			p.kill()
			nothingLeft(t, a, nil, port)
		})
	}
}

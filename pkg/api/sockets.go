// SPDX-License-Identifier: Apache-2.0

package api

import (
	"path/filepath"
	"slices"
)

// DefaultSocket is where a daemon answers when nothing else is configured.
const DefaultSocket = "/run/netprobe-xdp/api.sock"

// SocketOf is where the daemon answers that systemd started for one interface,
// netprobe-xdp@IFACE. Each has a folder of its own, which systemd makes for it and
// takes away with it.
func SocketOf(iface string) string { return "/run/netprobe-xdp-" + iface + "/api.sock" }

// Sockets are those that are there under these names, DefaultSocket first. It may
// be that nobody answers on them.
func Sockets() []string {
	all, _ := filepath.Glob("/run/netprobe-xdp*/*.sock") // its only error is a bad pattern
	if i := slices.Index(all, DefaultSocket); i > 0 {
		all = slices.Insert(slices.Delete(all, i, i+1), 0, DefaultSocket)
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
)

// fingerprint tells one state of the configuration's files from another: it
// changes when a file is written, replaced, removed or made, and when a symbolic
// link on the way to it leads elsewhere. Any goroutine may call it.
func (p *prober) fingerprint() string {
	file := p.Config
	if file == "" {
		file = config.Search()
	}
	var b strings.Builder
	for _, name := range []string{file, p.Settings} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", name, err)
			continue
		}
		st, _ := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&b, "%s: %d:%d %d bytes, %d.%09d\n", name, st.Dev, st.Ino, st.Size, st.Ctim.Sec, st.Ctim.Nsec)
	}
	return b.String()
}

// SPDX-License-Identifier: Apache-2.0

package prober

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/netprobe-xdp/netprobe-xdp/internal/host"
	"github.com/netprobe-xdp/netprobe-xdp/internal/web"
)

// confine gives up the capabilities that only the start needed. What it opened
// stays open; what may have to be opened again is in what it keeps: entering
// another network namespace takes CAP_SYS_ADMIN every time.
func (p *prober) confine() error {
	if !p.Confine {
		return nil
	}
	var more []string
	if p.NetNS != "" {
		more = []string{"CAP_SYS_ADMIN"}
	}
	kept, err := host.Confine(more...)
	if errors.Is(err, host.ErrThreads) {
		p.Log.Warn("capabilities are kept that are needed no longer", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("give up what is needed no longer: %w", err)
	}
	p.Log.Info("confined", "capabilities", strings.Join(kept, " "), "no_new_privileges", true)
	again := append(web.Files(p.cfg), p.cfg.File, p.cfg.Settings, p.cfg.Push.Password.File(), p.cfg.Push.BearerToken.File(), p.cfg.API.Token.File())
	again = append(again, p.cfg.Safety.ListFiles...)
	for _, name := range again {
		if name == "" {
			continue
		}
		f, err := os.Open(name)
		if err == nil {
			err = f.Close()
		}
		if errors.Is(err, fs.ErrPermission) {
			p.Log.Warn("a reload will fail, or what needs the file: it was read with a capability that has been given up; let the user who runs this read it", "file", name)
		}
	}
	return nil
}

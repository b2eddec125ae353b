// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/logging"
	"github.com/netprobe-xdp/netprobe-xdp/internal/prober"
	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
)

const (
	address       = "127.0.0.1"
	preferredPort = 8000

	liveEvery  = time.Second
	plainEvery = 5 * time.Second
)

// Options are where Run shows what it does, and what the metrics say of the
// program.
type Options struct {
	Stdout, Stderr    io.Writer
	Version, Revision string
}

// Run builds the demo's network, measures it and draws the table until ctx
// ends, which is success, then removes everything. Errors carry the exit code
// of where they come from.
func Run(ctx context.Context, o Options) (err error) {
	port, err := freePort()
	if err != nil {
		return err
	}
	network, err := lab.NewDemo(address, port)
	defer func() { err = errors.Join(err, network.Lab.Close()) }()
	if err != nil {
		return err
	}
	dir, err := makeFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "netprobe.yaml")
	if err := os.WriteFile(file, network.Config, 0o644); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	settings, socket := filepath.Join(dir, "settings.yaml"), filepath.Join(dir, "api.sock")
	if err := os.WriteFile(settings, fmt.Appendf(nil, "api: {socket: %q}\n", socket), 0o644); err != nil {
		return fmt.Errorf("write the demo's settings: %w", err)
	}

	table, log := screen.New(o.Stdout), o.Stderr
	if table.Live() && screen.New(o.Stderr).Live() {
		log = table // above the table, not through it
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan prober.Running, 1)
	ended := make(chan struct{})
	var measured error
	go func() {
		defer close(ended)
		measured = prober.Run(ctx, prober.Options{
			Ifaces: []string{network.Iface}, NetNS: network.Netns, Config: file, Settings: settings, Control: true,
			Version: o.Version, Revision: o.Revision,
			Log:     logging.New(log, false, slog.LevelInfo),
			Started: func(r prober.Running) { started <- r },
		})
	}()
	select {
	case running := <-started:
		err = show(o.Stdout, table, network, file, socket, running, ended)
	case <-ended:
	}
	cancel()
	<-ended
	return errors.Join(measured, err)
}

// show says what is to be seen and draws the table again and again, a last
// time when ended is closed.
func show(w io.Writer, out *screen.Screen, network *lab.Demo, file, socket string, running prober.Running, ended <-chan struct{}) error {
	if err := introduce(w, network, file, socket, running.Addr); err != nil {
		return fmt.Errorf("write the introduction: %w", err)
	}
	table := NewTable(running.Store, running.Plan.Percentiles)
	every := plainEvery
	if out.Live() {
		every = liveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-ended:
			last = true
		case <-tick.C:
		}
		if err := out.Draw(table.Lines()); err != nil {
			return fmt.Errorf("draw the table: %w", err)
		}
	}
	return nil
}

func introduce(w io.Writer, network *lab.Demo, file, socket string, metrics net.Addr) error {
	_, err := fmt.Fprintf(w, "Measuring a network of namespaces on this machine; Ctrl-C removes it.\n"+
		"For a browser: http://%s/, for a scraper: /metrics there\n"+
		"To ask it, in another terminal, as root: netprobe-xdp ctl --socket %s watch\n"+
		"Configuration: %s\n"+
		"To look around: ip netns exec %s ip address\n\nWhat is to be seen:\n", metrics, socket, file, network.Netns)
	for _, t := range network.Targets {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %-18s %s\n", t.Name, t.Expect)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(w, "\nsent, lost and loss since the start; round trips of the last round, without the\n"+
			"uncertain ones, whose moment of sending is not known well enough:")
	}
	return err
}

// freePort returns the usual port, or any other when somebody has that.
func freePort() (uint16, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(preferredPort)))
	if err != nil {
		l, err = net.Listen("tcp", net.JoinHostPort(address, "0"))
	}
	if err != nil {
		return 0, fmt.Errorf("find a port for the demo's metrics: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port(), nil
}

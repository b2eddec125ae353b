// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
	"github.com/netprobe-xdp/netprobe-xdp/internal/result"
)

const (
	address       = "127.0.0.1"
	preferredPort = 8000

	liveEvery  = time.Second
	plainEvery = 5 * time.Second
)

// percentiles are those of the demo's configuration.
var percentiles = []int{50, 95}

// Prober measures: from the configuration file, through the interface in the
// network namespace, into store, with its log to log, until ctx ends.
type Prober func(ctx context.Context, file, netns, iface string, store *result.Store, log io.Writer) error

// Run builds the demo's network, measures it and draws the table until ctx
// ends, then removes everything. Errors carry the exit code of where they come
// from.
func Run(ctx context.Context, stdout, stderr io.Writer, measure Prober) (err error) {
	port, err := freePort()
	if err != nil {
		return err
	}
	network, err := lab.NewDemo(address, port)
	defer func() { err = errors.Join(err, network.Lab.Close()) }()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "netprobe-xdp-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo's configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "netprobe.yaml")
	if err := os.WriteFile(file, network.Config, 0o644); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	if err := introduce(stdout, network, file, port); err != nil {
		return err
	}

	screen, store := NewScreen(stdout), &result.Store{}
	log := stderr
	if screen.Live() && NewScreen(stderr).Live() {
		log = screen // above the table, not through it
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	var measured error
	go func() {
		defer close(ended)
		measured = measure(ctx, file, network.Netns, network.Iface, store, log)
	}()
	err = draw(screen, NewTable(store, percentiles), ended)
	cancel()
	<-ended
	return errors.Join(measured, err)
}

// draw shows the table again and again, and a last time when ended is closed.
func draw(screen *Screen, table *Table, ended <-chan struct{}) error {
	every := plainEvery
	if screen.Live() {
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
		if err := screen.Draw(table.Lines()); err != nil {
			return fmt.Errorf("draw the table: %w", err)
		}
	}
	return nil
}

func introduce(w io.Writer, network *lab.Demo, file string, port uint16) error {
	_, err := fmt.Fprintf(w, "Measuring a network of namespaces on this machine; Ctrl-C removes it.\n"+
		"For a browser or a scraper: http://%s/metrics\n"+
		"Configuration: %s\n"+
		"To look around: ip netns exec %s ip address\n\nWhat is to be seen:\n", net.JoinHostPort(address, strconv.Itoa(int(port))), file, network.Netns)
	for _, t := range network.Targets {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %-18s %s\n", t.Name, t.Expect)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(w, "\nsent, lost and loss since the start; round trips of the last round:")
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

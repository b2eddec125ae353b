// SPDX-License-Identifier: Apache-2.0

// Package notify tells the service manager what the program is doing, and that
// it is alive (sd_notify(3): datagrams of assignments to the socket that
// NOTIFY_SOCKET names).
package notify

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// writeTimeout bounds the wait for a service manager that does not read.
const writeTimeout = time.Second

// Notifier speaks to the service manager. Nil, it is nobody's service and says
// nothing. Any goroutine may use it.
type Notifier struct {
	addr     net.UnixAddr
	watchdog time.Duration // 0: nobody watches
	log      *slog.Logger
	failed   sync.Once
}

// FromEnv returns a Notifier for the service manager that the environment
// names, nil when it names none. It takes the variables out of the environment:
// programs that this one starts must not speak in its name.
func FromEnv(log *slog.Logger) *Notifier {
	socket, usec, pid := take("NOTIFY_SOCKET"), take("WATCHDOG_USEC"), take("WATCHDOG_PID")
	switch {
	case socket == "":
		return nil
	case !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@"):
		log.Warn("the service manager is told nothing: NOTIFY_SOCKET is neither a path nor an abstract socket", "socket", socket)
		return nil
	}
	n := &Notifier{addr: net.UnixAddr{Name: socket, Net: "unixgram"}, log: log}
	if pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n // somebody else is watched
	}
	if us, err := strconv.ParseInt(usec, 10, 64); err == nil && us > 0 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

func take(name string) string {
	value := os.Getenv(name)
	os.Unsetenv(name)
	return value
}

// Ready says that the start, or a reload, is over. status is for people.
func (n *Notifier) Ready(status string) { n.send("READY=1\nSTATUS=" + oneLine(status)) }

// Reloading says that the configuration is being loaded again; Ready must
// follow.
func (n *Notifier) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return // without the time it would be ignored
	}
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the program is about to end.
func (n *Notifier) Stopping() { n.send("STOPPING=1") }

// Watch says that the program is alive as long as healthy returns nil, until
// ctx ends: often enough that one look that fails does not end the program.
func (n *Notifier) Watch(ctx context.Context, healthy func() error) {
	if n == nil || n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(n.watchdog/4, time.Millisecond))
	defer tick.Stop()
	sick := false
	for {
		err := healthy()
		if err == nil {
			n.send("WATCHDOG=1")
		} else if !sick && ctx.Err() == nil {
			n.log.Error("not healthy; the service manager is no longer told that all is well", "error", err)
		}
		sick = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// send sends one datagram.
func (n *Notifier) send(message string) {
	if n == nil {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &n.addr)
	if err == nil {
		defer c.Close()
		if err = c.SetWriteDeadline(time.Now().Add(writeTimeout)); err == nil {
			_, err = c.Write([]byte(message))
		}
	}
	if err != nil {
		n.failed.Do(func() {
			n.log.Warn("cannot tell the service manager how this program is; it may restart it for that", "error", err)
		})
	}
}

// oneLine keeps text from becoming further assignments.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }

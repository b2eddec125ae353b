// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/netprobe-xdp/netprobe-xdp/internal/screen"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

// Watch shows the targets of a daemon until its context ends or a person does.
type Watch struct {
	Client *client.Client
	Query  client.Query // with a limit only where there is no terminal
	Every  time.Duration
	JSON   bool // lines of JSON in place of a table
	In     *os.File
	Out    io.Writer
}

// Run watches. On a terminal the table is redrawn in place and follows keys, and a
// daemon that is gone is waited for; elsewhere a table is printed every time, and
// a daemon that is gone is an error.
func (w *Watch) Run(ctx context.Context) error {
	out, ok := w.Out.(*os.File)
	if !ok || w.JSON || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
		return w.print(ctx)
	}
	return w.live(ctx, out)
}

// print prints what there is again and again.
func (w *Watch) print(ctx context.Context) error {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		t, err := w.Client.Targets(ctx, w.Query)
		switch {
		case ctx.Err() != nil:
			return nil // ended as asked
		case err != nil:
			return err
		case w.JSON:
			err = json.NewEncoder(w.Out).Encode(t)
		default:
			if _, err = fmt.Fprintln(w.Out, t.Now.Local().Format(time.DateTime)); err == nil {
				err = WriteTargets(w.Out, t)
			}
		}
		if errors.Is(err, syscall.EPIPE) {
			return nil // the reader has seen enough
		}
		if err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

const (
	enter = "\x1b[?1049h\x1b[?25l" // another screen, without cursor
	leave = "\x1b[?25h\x1b[?1049l"
)

// answer is what came of asking once.
type answer struct {
	asked int // which question it is for
	got   latest
	err   error
}

// live draws on a terminal, and gives it back as it was.
func (w *Watch) live(ctx context.Context, out *os.File) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var keys <-chan string
	if term.IsTerminal(int(w.In.Fd())) {
		before, err := term.MakeRaw(int(w.In.Fd()))
		if err != nil {
			return fmt.Errorf("set the terminal to single keys: %w", err)
		}
		defer func() { _ = term.Restore(int(w.In.Fd()), before) }()
		keys = readKeys(ctx, w.In)
	}
	if _, err := io.WriteString(out, enter); err != nil {
		return fmt.Errorf("write to the terminal: %w", err)
	}
	defer func() {
		if _, werr := io.WriteString(out, leave); err == nil && werr != nil {
			err = fmt.Errorf("write to the terminal: %w", werr)
		}
	}()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)

	v := &view{query: w.Query}
	if v.query.Sort == "" {
		v.query.Sort = "worst"
	}
	answers := make(chan answer)
	asked, stop := 0, func() {}
	defer func() { stop() }()
	request := func() {
		stop()
		asked++
		q, n := v.query, asked
		q.Limit = v.room()
		once, end := context.WithCancel(ctx)
		stop = end
		go func() {
			got, err := w.once(once, q)
			select {
			case answers <- answer{n, got, err}:
			case <-ctx.Done():
			}
		}()
	}
	size := func() {
		if v.cols, v.rows, err = term.GetSize(int(out.Fd())); err != nil || v.rows < 1 || v.cols < 1 {
			v.cols, v.rows = 80, 24
		}
		err = nil
	}
	size()
	request()
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	waiting := true
	for {
		if err := draw(out, v.lines()); err != nil {
			return fmt.Errorf("write to the terminal: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !waiting {
				waiting = true
				request()
			}
		case <-resized:
			size()
			waiting = true
			request()
		case a := <-answers:
			if a.asked == asked {
				waiting = false
				v.take(a.got, a.err)
			}
		case k, ok := <-keys:
			if !ok {
				keys = nil
				continue
			}
			switch v.key(k) {
			case quit:
				return nil
			case ask:
				waiting = true
				request()
			}
		}
	}
}

// once asks for all that is shown.
func (w *Watch) once(ctx context.Context, q client.Query) (got latest, err error) {
	if got.info, err = w.Client.Info(ctx); err != nil {
		return got, err
	}
	if got.status, err = w.Client.Status(ctx); err != nil {
		return got, err
	}
	got.targets, err = w.Client.Targets(ctx, q)
	return got, err
}

// draw puts lines on the screen from its top. Each is cleared to its end, so that
// nothing flickers.
func draw(w io.Writer, lines []string) error {
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(screen.Printable(l) + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	_, err := w.Write(b.Bytes())
	return err
}

// readKeys reads keys until ctx ends, one more at the most is taken after that.
func readKeys(ctx context.Context, in io.Reader) <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		buf := make([]byte, 256)
		for {
			n, err := in.Read(buf)
			for _, k := range keysOf(string(buf[:n])) {
				select {
				case keys <- k:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}

var named = []struct{ code, key string }{
	{"\x1b[A", "up"}, {"\x1b[B", "down"}, {"\x1bOA", "up"}, {"\x1bOB", "down"},
	{"\x1b[5~", "pgup"}, {"\x1b[6~", "pgdn"}, {"\x1b[H", "home"}, {"\x1b[F", "end"},
	{"\x1b[1~", "home"}, {"\x1b[4~", "end"}, {"\x1bOH", "home"}, {"\x1bOF", "end"},
	{"\r", "enter"}, {"\n", "enter"}, {"\x7f", "backspace"}, {"\b", "backspace"},
	{"\x03", "ctrl-c"}, {"\x15", "ctrl-u"},
}

// keysOf splits what a terminal sent at once into keys. A sequence that is not
// known is none.
func keysOf(text string) (keys []string) {
next:
	for text != "" {
		for _, n := range named {
			if rest, ok := strings.CutPrefix(text, n.code); ok {
				keys, text = append(keys, n.key), rest
				continue next
			}
		}
		if text[0] == 0x1b {
			if len(text) > 1 && (text[1] == '[' || text[1] == 'O') {
				end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' && r <= '~' })
				if end < 0 {
					return keys
				}
				text = text[2+end+1:]
				continue
			}
			keys, text = append(keys, "esc"), text[1:]
			continue
		}
		for _, r := range text {
			keys, text = append(keys, string(r)), strings.TrimPrefix(text, string(r))
			if r == 0xfffd {
				return keys
			}
			break
		}
	}
	return keys
}

// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is an executable whose standard output is the list.
type Command struct {
	Args        []string // the executable and its arguments
	Dir         string   // where it runs
	Environment []string // as os.Environ returns it; all it has beyond basicEnvironment
	MaxBytes    int64    // of a list

	// Streaming: it goes on running, and each line is a whole list. Otherwise it
	// is run at Interval, and all it writes is one.
	Streaming bool
	Interval  time.Duration
	// Timeout is how long it may run, or with Streaming be silent; 0 with
	// Streaming: for ever.
	Timeout time.Duration
}

// basicEnvironment is what a command finds set: nothing of ours, since our
// environment may hold passwords.
var basicEnvironment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}

// Run runs the command until ctx ends.
func (c Command) Run(ctx context.Context, take func(Delivery) error) {
	var last []byte // the list that was taken
	once := func(d Delivery) error {
		if d.Err == nil && last != nil && bytes.Equal(d.Data, last) {
			d = Delivery{Same: true}
		}
		err := take(d)
		if d.Err == nil && !d.Same {
			if last = d.Data; err != nil {
				last = nil
			}
		}
		return err
	}
	if !c.Streaming {
		poll(ctx, c.Interval, c.once, once)
		return
	}
	for failures := 1; ; failures++ {
		began := time.Now()
		err := c.stream(ctx, once)
		if ctx.Err() != nil {
			return
		}
		_ = take(Delivery{Err: err})
		if time.Since(began) > maxWait {
			failures = 1
		}
		if !pause(ctx, backoff(failures, maxWait)) {
			return
		}
	}
}

// once runs the command to its end.
func (c Command) once(ctx context.Context) Delivery {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	p, err := c.start()
	if err != nil {
		return Delivery{Err: err}
	}
	defer context.AfterFunc(ctx, p.kill)()
	data, err := readBounded(p.stdout, c.MaxBytes)
	if err != nil {
		p.kill()
	}
	if ended := p.wait(); err == nil {
		err = ended
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = fmt.Errorf("it has not ended after %v, and was killed; make it faster, or raise timeout", c.Timeout)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errors.New("it has ended, but something that it left behind holds its output; let it wait for what it starts")
	}
	if err != nil {
		return Delivery{Err: c.failed(p, err)}
	}
	return Delivery{Data: data}
}

// stream takes a list from each line until the command ends, which is a
// failure.
func (c Command) stream(ctx context.Context, take func(Delivery) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := c.start()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, p.kill)()
	silence := time.AfterFunc(time.Hour, func() {
		cancel(fmt.Errorf("it has written no list for %v, and was killed; let it repeat its list, or raise timeout", c.Timeout))
	})
	defer silence.Stop()
	in := bufio.NewReaderSize(p.stdout, MaxLine)
	for {
		if silence.Stop(); c.Timeout > 0 {
			silence.Reset(c.Timeout)
		}
		line, err := readLine(in, c.MaxBytes)
		silence.Stop()
		if text := bytes.TrimSpace(line); len(text) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			_ = take(Delivery{Data: text})
		}
		if err == nil {
			continue
		}
		p.kill()
		ended := p.wait()
		switch cause := context.Cause(ctx); {
		case cause != nil:
			err = cause
		case errors.Is(err, io.EOF):
			if err = ended; err == nil {
				err = errors.New("it ended, though it is to go on")
			}
		}
		return c.failed(p, err)
	}
}

// readLine reads a line of at most so many bytes.
func readLine(in *bufio.Reader, most int64) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if int64(len(line)+len(part)) > most+1 { // its end is not counted
			return nil, fmt.Errorf("the list holds more than %d bytes; shorten it, or raise max_bytes", most)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// failed adds what the command said last.
func (c Command) failed(p *process, err error) error {
	if said := oneLine(p.stderr.String()); said != "" {
		return fmt.Errorf("%s: %w; it says: %q", c.Args[0], err, said)
	}
	return fmt.Errorf("%s: %w", c.Args[0], err)
}

// process is a command that runs. One goroutine reads stdout and waits; any may
// kill it.
type process struct {
	cmd    *exec.Cmd
	stdout *os.File
	stderr tail
	ended  chan struct{}
	err    error // of its end, once ended is closed

	mu     sync.Mutex
	reaped bool // its number may be another's
}

// start starts the command in a process group of its own.
func (c Command) start() (*process, error) {
	path, err := c.Executable()
	if err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	defer in.Close()
	p := &process{stdout: out, ended: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{childName, path}, c.Args...),
		Dir: c.Dir, Env: append(basicEnvironment[:len(basicEnvironment):len(basicEnvironment)], c.Environment...),
		Stdout: in, Stderr: &p.stderr, WaitDelay: time.Second,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error)
	// The death signal comes when the thread that started the child ends: this
	// goroutine keeps it until the child has ended.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.reap()
		}
	}()
	if err := <-started; err != nil {
		out.Close()
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	return p, nil
}

// Executable finds what is to be run, as a shell in the basic environment would.
func (c Command) Executable() (string, error) {
	name := c.Args[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(c.Dir, name)
		}
		switch info, err := os.Stat(name); {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("cannot run %q: there is no such file; check the name: a relative one begins at the file that has it", c.Args[0])
		case err != nil:
			return "", fmt.Errorf("cannot run %q: %w", c.Args[0], errors.Unwrap(err))
		case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
			return "", fmt.Errorf("cannot run %q: it is no executable file; chmod +x it, or name the interpreter before it", c.Args[0])
		}
		return name, nil
	}
	path, _ := strings.CutPrefix(basicEnvironment[0], "PATH=")
	for _, dir := range filepath.SplitList(path) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("there is no executable %q in %s; name it with its path", name, path)
}

// reap waits for the end of the child, ends what it left in its group, and only
// then lets its number go.
func (p *process) reap() {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.kill()
	p.mu.Lock()
	p.reaped = true
	p.err = p.cmd.Wait()
	p.mu.Unlock()
	close(p.ended)
	// Who left the group may still hold the other end.
	_ = p.stdout.SetReadDeadline(time.Now().Add(p.cmd.WaitDelay))
}

// kill ends the whole process group.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	}
}

// wait waits for the end and says how it ended, if not well.
func (p *process) wait() error {
	<-p.ended
	p.stdout.Close()
	if errors.Is(p.err, exec.ErrWaitDelay) { // it is over; who holds its stderr is not ours
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("it failed: %w", p.err)
	}
	return nil
}

// tail keeps the last of what is written to it. Any goroutine may use it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// maxTail is how many bytes are kept, enough for a person to know what is wrong.
const maxTail = 300

// Write keeps the end of p.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-maxTail):]...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

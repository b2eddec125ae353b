// SPDX-License-Identifier: Apache-2.0

package steer

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// The modes that Attach takes. Auto is native where the driver has it, else
// generic.
const (
	ModeAuto    = "auto"
	ModeNative  = "native"
	ModeGeneric = "generic"
)

// ErrTaken says that another XDP program is on the interface. It is never
// replaced.
var ErrTaken = errors.New("the interface's XDP slot is taken")

// Attachment is how the program came to be attached.
type Attachment struct {
	Mode    string // ModeNative or ModeGeneric
	Refusal string // why the driver refused native mode, where it did
}

// Attach puts the program on the interface with this index in the calling
// thread's network namespace. It stays there until Detach or Close, until the
// process ends in whatever way, or until the interface goes; after Detach it can be
// attached again, there or elsewhere. Errors: ErrTaken; exit code NoPermission where a
// capability is missing, Unavailable for everything else, with the kernel's or
// driver's own words.
func (p *Program) Attach(ifindex int, mode string) (Attachment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != nil {
		return Attachment{}, errors.New("attach the XDP program: it is attached already; load one for each interface")
	}
	var refusal string
	if mode == ModeAuto || mode == ModeNative {
		err := p.attach(ifindex, link.XDPDriverMode)
		if err == nil {
			return Attachment{Mode: ModeNative}, nil
		}
		if settled(err) {
			return Attachment{}, attachError(ifindex, ModeNative, err)
		}
		refusal = p.refusal(ifindex, err)
		if mode == ModeNative {
			return Attachment{}, attachError(ifindex, ModeNative, fmt.Errorf("the driver refused: %s; use mode generic or auto: %w", refusal, err))
		}
	} else if mode != ModeGeneric {
		return Attachment{}, exitcode.With(exitcode.Usage,
			fmt.Errorf("attach the XDP program: mode %q is none of %s, %s and %s", mode, ModeAuto, ModeNative, ModeGeneric))
	}
	if err := p.attach(ifindex, link.XDPGenericMode); err != nil {
		if refusal != "" {
			err = fmt.Errorf("%w (native mode: %s)", err, refusal)
		}
		return Attachment{}, attachError(ifindex, ModeGeneric, err)
	}
	return Attachment{Mode: ModeGeneric, Refusal: refusal}, nil
}

// Detach takes the program off its interface, wherever that is now. Without an
// attachment it does nothing.
func (p *Program) Detach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	err := p.link.Close()
	p.link = nil
	if err != nil {
		return fmt.Errorf("detach the XDP program: %w", err)
	}
	return nil
}

// Attached asks the kernel whether the program is still attached: its interface
// may have gone, and another program with CAP_SYS_ADMIN can detach a link that is
// not its own (bpftool link detach).
func (p *Program) Attached() (bool, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.link == nil {
		return false, nil
	}
	info, err := p.link.Info()
	if err != nil {
		return false, fmt.Errorf("ask whether the XDP program is attached: %w", err)
	}
	return info.XDP() != nil && info.XDP().Ifindex != 0, nil
}

func (p *Program) attach(ifindex int, flags link.XDPAttachFlags) error {
	l, err := link.AttachXDP(link.XDPOptions{Program: p.objects.Steer, Interface: ifindex, Flags: flags})
	if errors.Is(err, unix.EINVAL) { // which is also what the kernel says of an interface that is not there
		if _, gone := net.InterfaceByIndex(ifindex); gone != nil {
			return fmt.Errorf("%w: the interface is gone, or is in another network namespace", unix.ENODEV)
		}
	}
	if err != nil {
		return err
	}
	p.link = l
	return nil
}

// settled says whether an error would be the same in another mode.
func settled(err error) bool {
	return taken(err) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV)
}

// taken: EBUSY for a program in the same mode, EEXIST for one in another.
func taken(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

func attachError(ifindex int, mode string, err error) error {
	code := exitcode.Unavailable
	switch {
	case taken(err):
		err = fmt.Errorf("%w: %w", ErrTaken, err)
	case errors.Is(err, unix.EPERM):
		code = exitcode.NoPermission
		err = fmt.Errorf("%w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", err)
	}
	return exitcode.With(code, fmt.Errorf("attach the XDP program to interface %d, %s mode: %w", ifindex, mode, err))
}

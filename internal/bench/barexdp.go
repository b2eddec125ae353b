// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// bareMeta is how many bytes bareProgram puts in front of a stamped frame: when
// it was received, ns of bpf_ktime_get_ns.
const bareMeta = 8

// The offsets in struct xdp_md (linux/bpf.h).
const (
	xdpData     = 0
	xdpDataMeta = 8
	xdpQueue    = 16
	xdpPass     = 2
)

// bareProgram attaches the least XDP program that a bare loop can do with:
// every frame goes to the queue's socket, with its receive time if stamp. The returned
// function detaches it.
func bareProgram(ifindex int, sockets []int, stamp bool) (detach func() error, err error) {
	xsks, err := ebpf.NewMap(&ebpf.MapSpec{Name: "bench_xsks", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(len(sockets))})
	if err != nil {
		return nil, fmt.Errorf("make the bare loop's socket map: %w", err)
	}
	defer xsks.Close() // the program holds it
	for q, fd := range sockets {
		if err := xsks.Put(uint32(q), uint32(fd)); err != nil {
			return nil, fmt.Errorf("register the bare loop's socket of queue %d: %w", q, err)
		}
	}
	in := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	if stamp {
		in = append(in,
			asm.Mov.Imm(asm.R2, -bareMeta),
			asm.FnXdpAdjustMeta.Call(),
			asm.JNE.Imm(asm.R0, 0, "pass"),
			asm.FnKtimeGetNs.Call(),
			asm.LoadMem(asm.R2, asm.R6, xdpDataMeta, asm.Word),
			asm.LoadMem(asm.R3, asm.R6, xdpData, asm.Word),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, bareMeta),
			asm.JGT.Reg(asm.R4, asm.R3, "pass"),
			asm.StoreMem(asm.R2, 0, asm.R0, asm.DWord),
		)
	}
	in = append(in,
		asm.LoadMapPtr(asm.R1, xsks.FD()),
		asm.LoadMem(asm.R2, asm.R6, xdpQueue, asm.Word),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),
	)
	if !stamp {
		in = in[:len(in)-2]
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "bench_bare", Type: ebpf.XDP, Instructions: in, License: "Dual BSD/GPL"})
	if err != nil {
		return nil, fmt.Errorf("load the bare loop's XDP program: %w", err)
	}
	defer prog.Close() // the link holds it
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach the bare loop's XDP program: %w", err)
	}
	return l.Close, nil
}

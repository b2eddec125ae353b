// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// burnSpec is what the child that keeps a CPU busy is told.
type burnSpec struct {
	// Yield leaves the CPU to everybody else at once (SCHED_IDLE): it is only
	// kept from sleeping.
	Yield bool
}

// runBurn is the child that keeps one CPU busy until it is killed.
func runBurn(arg string) error {
	var s burnSpec
	if err := json.Unmarshal([]byte(arg), &s); err != nil {
		return err
	}
	runtime.LockOSThread()
	if s.Yield {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			return fmt.Errorf("give way to everybody: %w", err)
		}
	}
	x := uint64(os.Getpid())
	for x != 0 { // a full-period generator never comes to 0
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return errors.New("a xorshift generator came to 0")
}

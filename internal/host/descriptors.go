// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// fewDescriptors is how many more files a process has to be able to open for
// their number not to be the cause of a failure: some libraries open several to
// find out what the kernel can, and take it that it cannot where that fails.
const fewDescriptors = 20

// ExplainDescriptors adds to an error of the start that this process can hardly
// open another file, where that is so: many calls report something else then. Ask
// before anything is closed. The exit code becomes Unavailable.
func ExplainDescriptors(err error) error {
	if err == nil {
		return nil
	}
	var lim unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) != nil {
		return err
	}
	open, e := os.ReadDir("/proc/self/fd")
	if e == nil && uint64(len(open)+fewDescriptors) <= lim.Cur {
		return err
	}
	return exitcode.With(exitcode.Unavailable,
		fmt.Errorf("%w; probably for want of descriptors: raise the limit of open files, now %d, to 1024 (ulimit -n, LimitNOFILE=)", err, lim.Cur))
}

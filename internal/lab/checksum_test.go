// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Labs that are built at the same time share no memory. With -race, a request that
// sends what is not its own is noticed here.
func TestChecksumsAtTheSameTime(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for range 5 {
				l := ForTest(t, "lab")
				l.Connect(l.Host("a"), l.Host("b"), Link{ChecksumA: true, ChecksumB: true})
			}
		})
	}
}

func TestFindFamily(t *testing.T) {
	conn, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// include/uapi/linux/genetlink.h fixes this one.
	if n, err := findFamily(conn, "nlctrl"); err != nil || n != unix.GENL_ID_CTRL {
		t.Errorf("nlctrl: %d, %v; want %d", n, err, unix.GENL_ID_CTRL)
	}
	if n, err := findFamily(conn, "npx-none"); err == nil {
		t.Errorf("a family that there is none of: %d", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"os"
	"testing"
)

// The test binary starts commands as the program does.
func TestMain(m *testing.M) {
	BecomeChild()
	os.Exit(m.Run())
}

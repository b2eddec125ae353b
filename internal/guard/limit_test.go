// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// A client that takes nothing is cut off, and what it is sent meanwhile is no
// more than the sockets hold.
func TestSlowClientIsCutOff(t *testing.T) {
	gaveUp := make(chan error, 1)
	s := httptest.NewServer(Paced(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := w.(*pacedWriter)
		p.deadline = time.Now().Add(100 * time.Millisecond) // not as patient as in earnest
		p.last = p.deadline
		for piece := make([]byte, 32<<10); ; {
			if _, err := w.Write(piece); err != nil {
				gaveUp <- err
				return
			}
		}
	})))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-gaveUp; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the page ended with %v", err)
	}
}

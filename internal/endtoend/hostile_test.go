// SPDX-License-Identifier: Apache-2.0

package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// TestHostileClients: clients that connect by the thousand and ask for nothing, send
// bodies without end or what is no JSON, and names that lead elsewhere, keep nobody
// from being answered and cost no probe. What is answered is what the document says.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	a, _ := pair(t)
	socket := filepath.Join(folder(t, nil), "api.sock")
	p := place{host: a.Host, env: []string{"NETPROBE_API__SOCKET=" + socket}}.start(t, "run", "--iface", a.Name, "--config", file(t, "netprobe.yaml", pings(usual)))
	p.waitFor("msg=probing")
	measured(t, a.Host, usual, "icmp", "four", "six")
	local := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialPatiently(ctx, "unix", socket)
	}}}
	ask := func(method, path string, body io.Reader) (int, string, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+api.Prefix+path, body)
		if err != nil {
			t.Fatal(err)
		}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		answer, err := local.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return answer.StatusCode, answer.Header.Get("Content-Type"), text
	}

	// 10,000 by each way in, of which the last 600 are held; some begin a request.
	for _, way := range []struct{ network, address string }{{"unix", socket}, {"tcp", fmt.Sprintf("127.0.0.1:%d", usual)}} {
		var held []net.Conn
		err := inside(a.Host, func() error {
			for i := range 10_000 {
				c, err := dialPatiently(t.Context(), way.network, way.address)
				if err != nil {
					return fmt.Errorf("connection %d: %w", i, err)
				}
				if i%2 == 0 {
					_, _ = io.WriteString(c, "GET /api/v1/status HTTP/1.1\r\nX: ")
				}
				if held = append(held, c); len(held) > 600 {
					held[0].Close()
					held = held[1:]
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", way.network, err)
		}
		if status, _, _ := ask("GET", "/status", nil); status != 200 {
			t.Errorf("%s held: %d", way.network, status)
		}
		scrape(t, a.Host, usual)
		if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid())); err != nil || len(open) > 700 {
			t.Errorf("%s held: %d descriptors, %v", way.network, len(open), err)
		}
		for _, c := range held {
			c.Close()
		}
	}

	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/targets", "{", 400},
		{"POST", "/targets", `{"targets": 1}`, 400},
		{"POST", "/probe", strings.Repeat("[", 100_000), 400},
		{"GET", "/targets/..%2f..%2fetc%2fpasswd", "", 404},
		{"GET", "/targets/%00%1b%0a", "", 404},
		{"DELETE", "/targets/..%2ffour", "", 404},
		{"GET", "/targets?limit=-1&sort=%00", "", 400},
	} {
		var body io.Reader
		if c.body != "" {
			body = strings.NewReader(c.body)
		}
		status, kind, text := ask(c.method, c.path, body)
		if status != c.status || kind != api.ProblemType {
			t.Errorf("%s %s: %d, %s: %.200s", c.method, c.path, status, kind, text)
		}
	}
	// A body of 100 MB: refused, be it that the client hears of it or is hung up on.
	large, err := http.NewRequest("POST", "http://x"+api.Prefix+"/targets", io.LimitReader(endless{}, 100<<20))
	if err != nil {
		t.Fatal(err)
	}
	large.Header.Set("Content-Type", "application/json")
	if answer, err := local.Do(large); err == nil {
		if answer.Body.Close(); answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("100 MB: %d", answer.StatusCode)
		}
	}

	_, _, text := ask("GET", "/openapi.yaml", nil)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	for path, as := range map[string]string{
		"/health": "/health", "/ready": "/ready", "/info": "/info", "/status": "/status", "/config": "/config", "/targets?sort=worst": "/targets",
		"/targets/four": "/targets/{name}", "/targets/four/history": "/targets/{name}/history", "/worst": "/worst",
	} {
		status, kind, text := ask("GET", path, nil)
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		media := doc.Paths.Find(as).Get.Responses.Status(status).Value.Content[kind]
		if err := media.Schema.Value.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, _, text = ask("GET", "/targets/nobody", nil)
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if err := doc.Components.Schemas["Problem"].Value.VisitJSON(v); err != nil {
		t.Error(err)
	}

	page := measured(t, a.Host, usual, "icmp", "four", "six")
	if lost := page.sum("icmp_loss_total"); lost != 0 {
		t.Errorf("%v probes lost", lost)
	}
}

// dialPatiently connects. A UNIX socket whose queue is full does not let wait
// (connect(2): EAGAIN).
func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	for {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if !errors.Is(err, syscall.EAGAIN) || ctx.Err() != nil {
			return c, err
		}
		time.Sleep(time.Millisecond)
	}
}

// endless is text that never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/client"
)

func writeJSON(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// sends answers with text, in pieces, and ends.
func sends(text string) http.HandlerFunc {
	return speaking(api.Version, func(w http.ResponseWriter, _ *http.Request) {
		for i := range len(text) {
			_, _ = io.WriteString(w, text[i:i+1])
			w.(http.Flusher).Flush()
		}
	})
}

func TestEvents(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string // of each event its text
		end  error
	}{
		"two":            {"data: {\"text\":\"a\"}\n\ndata: {\"text\":\"b\"}\n\n", []string{"a", "b"}, client.ErrCut},
		"with the rest":  {": hello\n\nid: 1\nevent: x\nretry: 5\ndata:{\"text\":\n:\ndata: \"a\"}\n\n", []string{"a"}, client.ErrCut},
		"CRLF":           {"data: {\"text\":\"a\"}\r\n\r\n", []string{"a"}, client.ErrCut},
		"not complete":   {"data: {\"text\":\"a\"}\n", nil, client.ErrCut},
		"cut in a line":  {"data: {\"text\":\"a\"}\n\ndata: {\"te", []string{"a"}, client.ErrCut},
		"nothing":        {"", nil, client.ErrCut},
		"no JSON":        {"data: x\n\n", nil, client.ErrMalformed},
		"a long line":    {"data: " + strings.Repeat("x", 2000) + "\n\n", nil, client.ErrTooLarge},
		"too many lines": {strings.Repeat("data: xxxxxxxxxxxxxxxxxx\n", 100), nil, client.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			c := against(t, sends(tt.text), func(o *client.Options) { o.MaxBytes = 1000 })
			var got []string
			var end error
			for e, err := range c.Events(context.Background(), true) {
				if end = err; err == nil {
					got = append(got, e.Text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(end, tt.end) {
				t.Errorf("%v\n%s", end, diff)
			}
		})
	}
}

func TestProbe(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
		end  error
	}{
		"done":          {"{\"kind\":\"answered\"}\n\n{\"kind\":\"done\"}\nnothing more is read", []string{"answered", "done"}, nil},
		"cut":           {"{\"kind\":\"answered\"}\n", []string{"answered"}, client.ErrCut},
		"cut in a line": {"{\"kind\":\"answered\"}\n{\"kind\":\"done\"}", []string{"answered"}, client.ErrCut},
		"failed":        {"{\"kind\":\"failed\",\"problem\":{\"detail\":\"too fast\"}}\n", []string{"failed"}, &api.Problem{Detail: "too fast"}},
		"no reason":     {"{\"kind\":\"failed\"}\n", []string{"failed"}, client.ErrMalformed},
		"no JSON":       {"<html>\n", nil, client.ErrMalformed},
		"a long line":   {strings.Repeat(" ", 2000), nil, client.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			c := against(t, sends(tt.text), func(o *client.Options) { o.MaxBytes = 1000 })
			var got []string
			var end error
			for e, err := range c.Probe(context.Background(), api.ProbeRequest{}) {
				if end = err; err == nil {
					got = append(got, e.Kind)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			var p *api.Problem
			if errors.As(tt.end, &p) {
				if !errors.As(end, &p) || p.Detail != "too fast" {
					t.Errorf("got %v", end)
				}
			} else if !errors.Is(end, tt.end) {
				t.Errorf("got %v, want %v", end, tt.end)
			}
		})
	}
}

// TestLeaving: leaving the loop closes the connection, and the server sees it.
func TestLeaving(t *testing.T) {
	gone := make(chan struct{})
	c := against(t, speaking(api.Version, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: {}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	for _, err := range c.Events(context.Background(), false) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still open")
	}
}

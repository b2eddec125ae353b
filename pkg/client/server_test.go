// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// onSocket serves h on a UNIX socket in a folder of its own.
func onSocket(h http.Handler) (socket string, s *httptest.Server, err error) {
	dir, err := os.MkdirTemp("", "client")
	if err != nil {
		return "", nil, err
	}
	socket = filepath.Join(dir, "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return "", nil, err
	}
	s = &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	return socket, s, nil
}

// speaking adds the version header of a daemon.
func speaking(version string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.VersionHeader, version)
		h(w, r)
	}
}

func ratio(x float64) *float64 { return &x }

// daemon serves two targets on a socket, for the examples.
func daemon() (socket string, done func()) {
	target := func(name string, lost uint32) api.Target {
		round := &api.Round{Sent: 20, Answered: 20 - lost, Lost: lost, LossRatio: ratio(float64(lost) / 20)}
		return api.Target{Name: name, Groups: []api.GroupResult{{Group: "standard", Round: round}}}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+api.Prefix+"/targets", func(w http.ResponseWriter, r *http.Request) {
		var a api.AddTargets
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil || a.Owner == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var out api.Reloaded
		for _, t := range a.Targets {
			out.Enabled = append(out.Enabled, t.Name)
		}
		_ = json.NewEncoder(w).Encode(out)
	})
	mux.HandleFunc("GET "+api.Prefix+"/targets", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Targets{Total: 2, Targets: []api.Target{target("dns", 5), target("web", 0)}})
	})
	mux.HandleFunc("GET "+api.Prefix+"/events", func(w http.ResponseWriter, r *http.Request) {
		for _, t := range []api.Target{target("web", 0), target("dns", 5)} {
			text, _ := json.Marshal(api.Event{Type: api.EventRound, Target: t.Name, Round: t.Groups[0].Round})
			fmt.Fprintf(w, ": still here\n\nevent: round\ndata: %s\n\n", text)
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	socket, s, err := onSocket(speaking(api.Version, mux.ServeHTTP))
	if err != nil {
		panic(err)
	}
	return socket, func() {
		s.Close()
		os.RemoveAll(filepath.Dir(socket))
	}
}

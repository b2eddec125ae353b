// SPDX-License-Identifier: Apache-2.0

package config

import (
	"net"
	"net/netip"
	"os/user"
	"strconv"

	"github.com/knadh/koanf/v2"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
	"github.com/netprobe-xdp/netprobe-xdp/pkg/api"
)

// API is our own section `api`.
type API struct {
	Socket      string      // of the control API; "": there is none
	SocketGroup string      // whose members may use it beside its owner; "": nobody else
	Configured  bool        // Socket was named, be it as it is by itself, or its group was
	Listen      string      // host:port to serve the control API on as well; "": nowhere
	Token       secret.Text // what a client of Listen has to present; not set: there is none
}

// apiSection is where the control API's keys are.
var apiSection = section{name: "api", ours: true, fields: []field{
	{name: "socket", doc: "UNIX socket of the control API; empty: there is none",
		restart: true, text: true, absent: api.DefaultSocket, read: as(value.fileName)},
	{name: "socket_group", doc: "group that may use the socket beside the user that runs the program",
		restart: true, text: true, absent: "", read: as(value.group)},
	{name: "listen", doc: "address:port of the control API on TCP; empty: there is none; beyond loopback it needs a token",
		restart: true, text: true, absent: "", read: as(value.hostPort)},
	{name: "token", doc: "what clients on TCP must present",
		hidden: true, text: true, absent: "", read: as(value.secret)},
	{name: "token_file", doc: "file with the token",
		text: true, absent: "", read: as(value.fileName)},
}}

// maxSocketPath is the longest name of a UNIX socket, in bytes (linux/un.h:
// UNIX_PATH_MAX less the end).
const maxSocketPath = 107

// group reads the name of a group of this machine, or its number.
func (v value) group() (string, bool) {
	const allowed = "a group of this machine; see getent group"
	name, ok := v.text(allowed)
	if !ok || name == "" {
		return name, ok
	}
	if _, err := strconv.ParseUint(name, 10, 31); err == nil {
		return name, true
	}
	if _, err := user.LookupGroup(name); err != nil {
		v.wrong(allowed)
		return "", false
	}
	return name, true
}

// hostPort reads where to listen.
func (v value) hostPort() (string, bool) {
	const allowed = "an address and a port, such as 127.0.0.1:8001 or [::1]:8001"
	s, ok := v.text(allowed)
	if !ok || s == "" {
		return s, ok
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		v.wrong(allowed)
		return "", false
	}
	return s, true
}

// checkAPI records what does not go together.
func (d *decoder) checkAPI(k *koanf.Koanf) {
	fault := func(key, read, allowed string) {
		d.faults = append(d.faults, d.cfg.Fault(read, allowed, "api", key))
	}
	if name := k.String("api.token_file"); name != "" {
		if k.String("api.token") != "" {
			fault("token_file", "is set beside api.token", "allowed: one of the two; remove the other")
		}
		f, _, err := openRegular(name)
		if err != nil {
			d.unread++
			fault("token_file", "cannot read "+oneLine(name)+": "+err.Error(), "")
		} else {
			f.Close()
		}
	}
	if name := k.String("api.socket"); len(name) > maxSocketPath {
		fault("socket", "read a name of "+strconv.Itoa(len(name))+" bytes", "allowed: at most "+strconv.Itoa(maxSocketPath)+", which is what UNIX sockets have room for")
	}
	if k.String("api.socket_group") != "" && k.String("api.socket") == "" {
		fault("socket_group", "is set though api.socket is empty", "allowed: together with a socket; remove it")
	}
	listen := k.String("api.listen")
	if listen == "" {
		return
	}
	host, _, _ := net.SplitHostPort(listen)
	at, err := netip.ParseAddr(host)
	if loopback := host == "localhost" || err == nil && at.Unmap().IsLoopback(); !loopback && k.String("api.token")+k.String("api.token_file") == "" {
		fault("listen", "read "+listen+", which others reach, without a token", "allowed: a loopback address, or set api.token_file")
	}
}

// fillAPI copies the merged settings of the control API.
func (d *decoder) fillAPI(k *koanf.Koanf) {
	d.cfg.API = API{
		Socket: k.String("api.socket"), SocketGroup: k.String("api.socket_group"), Listen: k.String("api.listen"),
		Token: knownOrInFile(k, "api.token"),
	}
	_, _, named := d.cfg.positions.get([]string{"api", "socket"})
	d.cfg.API.Configured = named || d.cfg.API.SocketGroup != ""
}

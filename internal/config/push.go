// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/netprobe-xdp/netprobe-xdp/internal/secret"
)

// webSection is where the HTTP server's keys are.
var webSection = section{name: "web", ours: true, fields: []field{
	{name: "config_file", doc: "web configuration of prometheus/exporter-toolkit: TLS, client certificates, users",
		restart: true, text: true, absent: "", read: as(value.fileName)},
}}

// pushSection is where the keys of pushing are.
var pushSection = section{name: "push", ours: true, fields: []field{
	{name: "url", doc: "where the page of /metrics is sent to; without a path: /api/v1/import/prometheus; empty: nowhere",
		text: true, absent: "", read: as(value.pushURL)},
	{name: "interval", doc: "time between pages",
		absent: 15 * time.Second, read: as(func(v value) (time.Duration, bool) { return v.span(time.Second, time.Hour) })},
	{name: "timeout", doc: "for one attempt to deliver",
		absent: 10 * time.Second, read: as(func(v value) (time.Duration, bool) { return v.span(100*time.Millisecond, 10*time.Minute) })},
	{name: "buffer", doc: "memory that compressed pages take while they wait; then the oldest is dropped",
		absent: 64 << 20, read: as(func(v value) (int, bool) { return v.size(1<<20, 16<<30) })},
	{name: "extra_labels", doc: "labels for all series; job=netprobe-xdp and instance=PROBE_NAME unless they are given here",
		list: true, text: true, absent: []string(nil), read: as(value.extraLabels)},
	{name: "headers", doc: "sent with every page",
		hidden: true, list: true, text: true, absent: []string(nil), read: as(value.headers)},
	{name: "user", doc: "user of basic auth",
		text: true, absent: "", read: as(func(v value) (string, bool) { return v.text("a name") })},
	{name: "password", doc: "its password",
		hidden: true, text: true, absent: "", read: as(value.secret)},
	{name: "password_file", doc: "file with the password, read for each attempt",
		text: true, absent: "", read: as(value.fileName)},
	{name: "bearer_token", doc: "bearer token",
		hidden: true, text: true, absent: "", read: as(value.secret)},
	{name: "bearer_token_file", doc: "file with the token, read for each attempt",
		text: true, absent: "", read: as(value.fileName)},
}}

// fileName reads the name of a file, which is relative to the file it stands
// in.
func (v value) fileName() (string, bool) {
	name, ok := v.text("the name of a file")
	if !ok || name == "" || filepath.IsAbs(name) || v.file == fromEnvironment {
		return name, ok
	}
	return filepath.Join(filepath.Dir(v.file), name), true
}

// secret reads text that no fault may repeat.
func (v value) secret() (string, bool) {
	if v.node.Kind != yaml.ScalarNode || classify(v.node) != kindText {
		v.fault("read something that is no text, which is not repeated here", "allowed: text; quote it")
		return "", false
	}
	return v.node.Value, true
}

const importPath = "/api/v1/import/prometheus"

// pushURL reads where figures are pushed. One without a path is that of a
// VictoriaMetrics.
func (v value) pushURL() (string, bool) {
	const allowed = "a URL such as http://192.0.2.1:8428 or https://example.org/insert/0/prometheus" + importPath
	s, ok := v.text(allowed)
	if !ok || s == "" {
		return "", ok
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Fragment != "":
		// What is no URL may all the same hold a password.
		v.fault("read something that is no URL to push to", "allowed: "+allowed)
		return "", false
	case u.User != nil:
		v.fault("read a URL with a user in it", "allowed: one without; user and password have keys of their own")
		return "", false
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = importPath
	}
	return u.String(), true
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,12})(KiB|MiB|GiB)$`)

// size reads a number of bytes.
func (v value) size(low, high int) (int, bool) {
	allowed := fmt.Sprintf("a size such as 64MiB or a number of bytes, %d to %d", low, high)
	if v.node.Kind != yaml.ScalarNode {
		v.wrong(allowed)
		return 0, false
	}
	if m := sizePattern.FindStringSubmatch(v.node.Value); m != nil && classify(v.node) == kindText {
		n, _ := strconv.Atoi(m[1])
		n <<= map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}[m[2]]
		if n < low || n > high {
			v.wrong(allowed)
			return 0, false
		}
		return n, true
	}
	return v.integerAs(allowed, low, high)
}

var labelPattern = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// extraLabels reads labels as name=value.
func (v value) extraLabels() ([]string, bool) {
	const allowed = "labels as name=value, such as site=paris"
	seen := map[string]bool{}
	return list(v, allowed, func(it value) (string, bool) {
		s, ok := it.text(allowed)
		if !ok {
			return "", false
		}
		name, val, found := strings.Cut(s, "=")
		if !found || val == "" || !labelPattern.MatchString(name) || strings.HasPrefix(name, "__") {
			it.wrong(allowed)
			return "", false
		}
		if seen[name] {
			it.fault("read the label "+name+" a second time", "allowed: once")
			return "", false
		}
		seen[name] = true
		return s, true
	})
}

// headers reads what is sent with every push, whose values may be secrets.
func (v value) headers() ([]string, bool) {
	const allowed = `headers as "Name: value", such as "X-Scope-OrgID: 1"`
	return list(v, allowed, func(it value) (string, bool) {
		name, val, found := strings.Cut(it.node.Value, ":")
		val = strings.TrimSpace(val)
		if it.node.Kind != yaml.ScalarNode || !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(val) {
			it.fault("read something that is no header, which is not repeated here", "allowed: "+allowed)
			return "", false
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Authorization", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Transfer-Encoding", "Connection":
			it.fault("read the header "+name, "allowed: headers that are not the program's own; for Authorization there are user, password and bearer_token")
			return "", false
		}
		return name + ": " + val, true
	})
}

// checkPush records what does not go together.
func (d *decoder) checkPush(k *koanf.Koanf) {
	d.checkSecretFiles(k)
	for _, f := range d.faults {
		if strings.HasPrefix(f.Key, "push.") || strings.HasPrefix(f.Key, envPrefix+"PUSH__") {
			return // what is missing may only be wrong
		}
	}
	set := func(key string) bool { return k.String("push."+key) != "" }
	both := func(a, b string) {
		if set(a) && set(b) {
			d.faults = append(d.faults, d.cfg.Fault("is set beside push."+a, "allowed: one of the two; remove the other", "push", b))
		}
	}
	both("password", "password_file")
	both("bearer_token", "bearer_token_file")
	both("user", "bearer_token")
	both("user", "bearer_token_file")
	switch password := set("password") || set("password_file"); {
	case set("password") && !set("user"):
		d.faults = append(d.faults, d.cfg.Fault("is set without push.user", "required: the user that it belongs to", "push", "password"))
	case password && !set("user"):
		d.faults = append(d.faults, d.cfg.Fault("is set without push.user", "required: the user that it belongs to", "push", "password_file"))
	case set("user") && !password:
		d.faults = append(d.faults, d.cfg.Fault("is set without a password", "required: push.password or push.password_file as well", "push", "user"))
	}
	for _, key := range []string{"user", "bearer_token", "bearer_token_file"} {
		if set(key) && !set("url") {
			d.faults = append(d.faults, d.cfg.Fault("is set without push.url", "required: where to push to", "push", key))
			break
		}
	}
}

// checkSecretFiles records files that cannot be read.
func (d *decoder) checkSecretFiles(k *koanf.Koanf) {
	for _, key := range []string{"password_file", "bearer_token_file"} {
		if name := k.String("push." + key); name != "" {
			f, _, err := openRegular(name)
			if err != nil {
				d.unread++
				d.faults = append(d.faults, d.cfg.Fault("cannot read "+oneLine(name)+": "+err.Error(), "", "push", key))
				continue
			}
			f.Close()
		}
	}
}

// fillPush copies the merged settings of pushing.
func (d *decoder) fillPush(k *koanf.Koanf) {
	d.cfg.Push = Push{
		URL:         k.String("push.url"),
		Interval:    get[time.Duration](k, "push.interval"),
		Timeout:     get[time.Duration](k, "push.timeout"),
		Buffer:      k.Int("push.buffer"),
		ExtraLabels: get[[]string](k, "push.extra_labels"),
		User:        k.String("push.user"),
		Password:    knownOrInFile(k, "push.password"),
		BearerToken: knownOrInFile(k, "push.bearer_token"),
	}
	for _, h := range get[[]string](k, "push.headers") {
		d.cfg.Push.Headers = append(d.cfg.Push.Headers, secret.New(h))
	}
}

// knownOrInFile is the secret of a key, or the one in the file that the key with
// "_file" names.
func knownOrInFile(k *koanf.Koanf, key string) secret.Text {
	if name := k.String(key + "_file"); name != "" {
		return secret.InFile(name)
	}
	return secret.New(k.String(key))
}

// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/exitcode"
)

// fileContent is what we ourselves look at in a web configuration file; all of
// it is the toolkit's.
// Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
type fileContent struct {
	TLS struct {
		CertFile string `yaml:"cert_file"`
		Cert     string `yaml:"cert"`
		KeyFile  string `yaml:"key_file"`
		ClientCA string `yaml:"client_ca_file"`
	} `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"`
}

func readContent(name string) (c fileContent, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return c, err
	}
	return c, yaml.Unmarshal(b, &c)
}

// usesTLS says whether the web configuration file asks for TLS.
func usesTLS(name string) bool {
	if name == "" {
		return false
	}
	c, err := readContent(name)
	return err == nil && (c.TLS.CertFile != "" || c.TLS.Cert != "")
}

// CheckConfigFile judges a web configuration file before it is served with.
// The error is one line and carries NoInput when a file cannot be read, Config
// otherwise; warning is "" or what is doubtful though it works.
func CheckConfigFile(name string, c Credentials) (warning string, err error) {
	if name == "" {
		return "", nil
	}
	if _, err := private(name, "web.config_file"); err != nil {
		return "", err
	}
	content, err := readContent(name)
	if err != nil {
		return "", refused(name, err)
	}
	for _, f := range []struct{ key, file string }{
		{"cert_file", content.TLS.CertFile}, {"client_ca_file", content.TLS.ClientCA}, {"key_file", content.TLS.KeyFile},
	} {
		if f.file == "" {
			continue
		}
		if !filepath.IsAbs(f.file) {
			f.file = filepath.Join(filepath.Dir(name), f.file)
		}
		mode, err := private(f.file, name+": tls_server_config."+f.key)
		if err != nil {
			return "", err
		}
		if f.key == "key_file" && mode&0o004 != 0 {
			warning = fmt.Sprintf("%s: tls_server_config.key_file: %s can be read by every user of this machine (mode %04o); chmod o-r it", name, f.file, mode)
		}
	}
	if err := toolkit.Validate(name); err != nil {
		return "", refused(name, err)
	}
	if len(content.Users) > 0 && c.set() {
		return "", exitcode.With(exitcode.Config, fmt.Errorf("%s: basic_auth_users: PROM_USER and PROM_PASSWORD are set too, and a client cannot present both; keep one of the two", name))
	}
	return warning, nil
}

// private returns the mode of a file that can be read and that only its owner
// and group may change.
func private(name, what string) (fs.FileMode, error) {
	info, err := os.Stat(name) // before it is opened: opening a named pipe waits
	var f *os.File
	if err == nil && info.Mode().IsRegular() {
		if f, err = os.Open(name); err == nil {
			f.Close()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("%s: there is no file %s; check the name", what, name))
	case errors.Is(err, fs.ErrPermission):
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("%s: cannot read %s: permission denied; make it readable for the user that runs netprobe-xdp, and for nobody else", what, name))
	case err != nil:
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("%s: cannot read the file: %w", what, err))
	}
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("%s: %s is not a regular file; name a file", what, name))
	case mode&0o002 != 0:
		return 0, exitcode.With(exitcode.Config, fmt.Errorf("%s: every user of this machine may change %s (mode %04o); chmod o-w it", what, name, mode.Perm()))
	}
	return mode.Perm(), nil
}

// refused is what the toolkit or YAML has against the file, on one line.
func refused(name string, err error) error {
	return exitcode.With(exitcode.Config, fmt.Errorf("web.config_file: %s: %s; correct it, see the web configuration of prometheus/exporter-toolkit", name, strings.Join(strings.Fields(err.Error()), " ")))
}

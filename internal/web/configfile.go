// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/config"
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

// namedFile is a file that a web configuration file names.
type namedFile struct{ key, file string }

// files are those that the content of the file called name names, the private
// key last.
func (c *fileContent) files(name string) (all []namedFile) {
	for _, f := range []namedFile{{"cert_file", c.TLS.CertFile}, {"client_ca_file", c.TLS.ClientCA}, {"key_file", c.TLS.KeyFile}} {
		if f.file == "" {
			continue
		}
		if !filepath.IsAbs(f.file) {
			f.file = filepath.Join(filepath.Dir(name), f.file)
		}
		all = append(all, f)
	}
	return all
}

// Files are those that are read again while a configuration is served with.
func Files(cfg *config.Config) []string {
	name := cfg.Web.ConfigFile
	if name == "" {
		return nil
	}
	all := []string{name}
	if c, err := readContent(name); err == nil {
		for _, f := range c.files(name) {
			all = append(all, f.file)
		}
	}
	return all
}

// Judge judges the web configuration file that a configuration names, if it
// names one, before it is served with. The error is one fault, at the key, and
// carries NoInput when a file cannot be read, Config otherwise; doubts are what
// works and is probably not meant.
func Judge(cfg *config.Config, c Credentials) (doubts []config.Fault, err error) {
	name := cfg.Web.ConfigFile
	if name == "" {
		return nil, nil
	}
	doubt, err := judge(name, c)
	if doubt != "" {
		doubts = append(doubts, cfg.Fault(doubt, "", "web", "config_file"))
	}
	if err != nil {
		err = exitcode.With(exitcode.Of(err), config.Faults{cfg.Fault(err.Error(), "", "web", "config_file")})
	}
	return doubts, err
}

func judge(name string, c Credentials) (doubt string, err error) {
	if _, err := private(name); err != nil {
		return "", err
	}
	content, err := readContent(name)
	if err != nil {
		return "", refused(name, err)
	}
	for _, f := range content.files(name) {
		mode, err := private(f.file)
		if err != nil {
			return "", exitcode.With(exitcode.Of(err), fmt.Errorf("%s: tls_server_config.%s: %w", name, f.key, err))
		}
		if f.key == "key_file" && mode&0o004 != 0 {
			doubt = fmt.Sprintf("%s: tls_server_config.%s: every user of this machine may read %s (mode %04o); chmod o-r it", name, f.key, f.file, mode)
		}
	}
	if err := toolkit.Validate(name); err != nil {
		return "", refused(name, err)
	}
	if len(content.Users) > 0 && c.set() {
		return "", exitcode.With(exitcode.Config, fmt.Errorf("%s names users, and PROM_USER and PROM_PASSWORD are set too; no client can present both: remove basic_auth_users, or unset the two", name))
	}
	return doubt, nil
}

// private returns the mode of a file that can be read and that only its owner
// and group may change.
func private(name string) (fs.FileMode, error) {
	info, err := os.Stat(name) // before it is opened: opening a named pipe waits
	var f *os.File
	if err == nil && info.Mode().IsRegular() {
		if f, err = os.Open(name); err == nil {
			f.Close()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("cannot read %s: there is no such file; check the name", name))
	case errors.Is(err, fs.ErrPermission):
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("cannot read %s: permission denied; make it readable for the user that runs netprobe-xdp, and for nobody else", name))
	case err != nil:
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("cannot read the file: %w", err))
	}
	mode := info.Mode()
	switch {
	case !mode.IsRegular():
		return 0, exitcode.With(exitcode.NoInput, fmt.Errorf("%s is not a regular file; name a file", name))
	case mode&0o002 != 0:
		return 0, exitcode.With(exitcode.Config, fmt.Errorf("every user of this machine may change %s (mode %04o); chmod o-w it", name, mode.Perm()))
	}
	return mode.Perm(), nil
}

// refused is what the toolkit or YAML has against the file, on one line.
func refused(name string, err error) error {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?' // it may repeat what stands in the file
		}
		return r
	}, text)
	return exitcode.With(exitcode.Config, fmt.Errorf("%s: %s; correct it, see the web configuration of prometheus/exporter-toolkit", name, text))
}

// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// TestDockerfile does by hand what the Dockerfile says, for want of an engine: the
// steps of its first stage run here, and the program of the image runs with
// nothing else at its root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	lab.NeedRoot(t, "change the root of a process")
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	if version == nil || !bytes.Contains(text, []byte(" golang:"+string(version[1])+"-")) {
		t.Errorf("the Dockerfile builds with another Go than go.mod asks for: %s", version)
	}
	out := t.TempDir()
	steps := regexp.MustCompile(`(?m)^RUN ((?:.*\\\n)*.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(steps) == 0 {
		t.Fatal("no step in the Dockerfile")
	}
	for _, step := range steps {
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(step[1], "/out/", out+"/"))
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "TARGETARCH="+runtime.GOARCH, "VERSION=v9.9.9", "REVISION=abc")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step[0], err, text)
		}
	}
	if !bytes.Contains(text, []byte("\nENTRYPOINT [\"/usr/bin/netprobe-xdp\"]\n")) {
		t.Error("the image does not start the program")
	}
	if got := command(t, "chroot", out, "/usr/bin/netprobe-xdp", "version"); !strings.HasPrefix(got, "netprobe-xdp v9.9.9 (revision abc, ") {
		t.Error(got)
	}
	if got := command(t, "chroot", out, "/usr/bin/netprobe-xdp", "check"); !strings.HasPrefix(got, "/etc/netprobe-xdp/netprobe.yaml: 0 targets") {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(out, "etc/ssl/certs/ca-certificates.crt")); err != nil {
		t.Error(err)
	}
}

// container is what is judged of a container.
type container struct {
	Args []string
	Env  []struct {
		Name      string
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	SecurityContext struct {
		Capabilities struct{ Add, Drop []string }
	} `yaml:"securityContext"`
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// TestDaemonSet: the manifest's configuration has no fault with the environment
// that it sets, its command line is one of ours, it asks for the capabilities of the
// unit, and for paths that there are.
func TestDaemonSet(t *testing.T) {
	t.Parallel()
	var all struct {
		Kind string
		Data map[string]string
		Spec struct {
			Template struct {
				Spec struct {
					HostNetwork bool `yaml:"hostNetwork"`
					Containers  []container
				}
			}
		}
	}
	kinds := map[string]int{}
	d := yaml.NewDecoder(bytes.NewReader(read(t, "kubernetes", "daemonset.yaml")))
	for {
		one := all
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kinds[one.Kind]++
		if one.Data != nil {
			all.Data = one.Data
		}
		if one.Kind == "DaemonSet" {
			all.Spec = one.Spec
		}
	}
	if diff := cmp.Diff(map[string]int{"Namespace": 1, "ConfigMap": 1, "DaemonSet": 1}, kinds); diff != "" || len(all.Spec.Template.Spec.Containers) != 1 {
		t.Fatal(diff)
	}
	c := all.Spec.Template.Spec.Containers[0]
	if !all.Spec.Template.Spec.HostNetwork {
		t.Error("not on the host's network")
	}

	file := write(t, t.TempDir(), "netprobe.yaml", []byte(all.Data["netprobe.yaml"]))
	cmd := exec.Command(binary, "check", file)
	for _, e := range c.Env {
		value := map[string]string{"spec.nodeName": "node-1.example", "status.hostIP": "192.0.2.1"}[e.ValueFrom.FieldRef.FieldPath]
		if value == "" {
			t.Errorf("%s: from %q", e.Name, e.ValueFrom.FieldRef.FieldPath)
		}
		cmd.Env = append(cmd.Env, e.Name+"="+value)
	}
	if len(cmd.Env) != 2 {
		t.Errorf("environment: %q", cmd.Env)
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != file+": 0 targets, 1 group, 0 probes/s\n" {
		t.Errorf("its configuration: %v\n%s", err, out)
	}
	// A flag that there is not would be a usage error.
	if out, err := exec.Command(binary, append(c.Args, "--help")...).CombinedOutput(); err != nil || len(c.Args) == 0 {
		t.Errorf("its command line: %v\n%s", err, out)
	}

	var caps []string
	for _, name := range c.SecurityContext.Capabilities.Add {
		caps = append(caps, "CAP_"+name)
	}
	if unit := string(read(t, "systemd", "netprobe-xdp.service")); !strings.Contains(unit, "\nCapabilityBoundingSet="+strings.Join(caps, " ")+"\n") {
		t.Errorf("its capabilities are not those of the unit: %q", caps)
	}
	for _, p := range []struct {
		of   probe
		path string
	}{{c.StartupProbe, "/-/healthy"}, {c.LivenessProbe, "/-/healthy"}, {c.ReadinessProbe, "/-/ready"}} {
		if p.of.HTTPGet.Path != p.path || p.of.HTTPGet.Port != "metrics" {
			t.Errorf("probe %+v, want %s", p.of, p.path)
		}
	}
}

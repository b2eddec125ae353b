// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/netprobe-xdp/netprobe-xdp/internal/lab"
)

// machine is a systemd that runs in a container of systemd-nspawn, with the
// network of a host of the lab and the template unit of configs/ in force.
type machine struct {
	t      *testing.T
	root   string // its file system
	cgroup string // its control group, of version 2
	unit   string
}

// dropIn is what the test changes: shorter waits, and a log to read.
const dropIn = `[Service]
WatchdogSec=5
TimeoutAbortSec=1
RestartSec=0
StandardError=append:/log
`

// boot starts a machine that starts the unit for an interface.
func boot(t *testing.T, host *lab.Host, iface, config string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), unit: "netprobe-xdp@" + iface + ".service"}
	for _, dir := range []string{"usr/bin", "etc/systemd/system/netprobe-xdp@.service.d", "etc/netprobe-xdp", "var", "tmp", "run", "proc", "sys", "dev", "root"} {
		if err := os.MkdirAll(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(m.root, 0o755); err != nil { // the unit's user looks in
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(m.root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"etc/os-release": "ID=debian\n", "etc/machine-id": strings.Repeat("1", 32) + "\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", "etc/group": "root:x:0:\nnogroup:x:65534:\n",
		"etc/systemd/system/netprobe-xdp@.service":             string(read(t, "systemd", "netprobe-xdp@.service")),
		"etc/systemd/system/test.target":                       "[Unit]\nWants=" + m.unit + "\n",
		"etc/systemd/system/netprobe-xdp@.service.d/test.conf": dropIn,
		"etc/netprobe-xdp/" + iface + ".yaml":                  config,
	} {
		write(t, m.root, file, []byte(text))
	}
	args := []string{"--bind-ro=/usr/lib", "--bind-ro=/usr/lib64", "--bind-ro=" + binary + ":/usr/bin/netprobe-xdp"}
	for _, name := range []string{"kill", "systemctl"} {
		args = append(args, "--bind-ro="+lab.Tool(t, name, "systemd and procps")+":/usr/bin/"+name)
	}
	m.start(host, args, "--unit=test.target", "--log-target=console")
	return m
}

// start starts systemd with these arguments, in a container with these options
// and the network of a host.
func (m *machine) start(host *lab.Host, options []string, args ...string) {
	t := m.t
	t.Helper()
	nspawn := lab.Tool(t, "systemd-nspawn", "systemd-container")
	mounted := cgroups(t)
	if mounted[0] == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs control groups of version 2, and must not be skipped where CI=true")
		}
		t.Skip("needs control groups of version 2")
	}
	name := fmt.Sprintf("npxshipped%d", os.Getpid())
	m.cgroup = filepath.Join(mounted[0], name)
	if err := os.Mkdir(m.cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	group, err := os.Open(m.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	options = append(options, "--directory="+m.root, "--register=no", "--keep-unit", "--network-namespace-path=/run/netns/"+host.Netns,
		"--capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_BPF,CAP_PERFMON,CAP_IPC_LOCK", "--system-call-filter=bpf", "--console=read-only", "/usr/lib/systemd/systemd")
	cmd := exec.Command(nspawn, append(options, args...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	var console strings.Builder
	cmd.Stdout, cmd.Stderr = &console, &console
	started, ended := make(chan error), make(chan struct{})
	go func() { // the death signal comes with the end of the thread that started it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		_ = os.Remove(m.cgroup)
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(m.cgroup, "cgroup.kill"), []byte("1"), 0); err != nil {
			t.Error(err)
			_ = cmd.Process.Kill()
		}
		<-ended
		eventually(t, "the control group is empty", func() bool {
			b, err := os.ReadFile(filepath.Join(m.cgroup, "cgroup.events"))
			return err == nil && strings.Contains(string(b), "populated 0")
		})
		for _, at := range mounted { // systemd-nspawn makes it in each
			if at == "" {
				continue
			}
			if err := removeCgroup(filepath.Join(at, name)); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(m.root, "log"))
			t.Logf("console:\n%s\nthe unit's log:\n%s", console.String(), log)
		}
	})
}

// pids are the processes of a control group below the machine's, as they are
// called here.
func (m *machine) pids(below string) []string {
	found, err := filepath.Glob(filepath.Join(m.cgroup, "payload", below, "cgroup.procs"))
	if err != nil || len(found) != 1 {
		return nil
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// main is the unit's process, "" while there is none.
func (m *machine) main() string {
	pids := m.pids("system.slice/" + m.unit)
	if strings.Contains(m.unit, "@") { // systemd puts what a template makes together
		pids = m.pids("system.slice/*/" + m.unit)
	}
	if len(pids) != 1 {
		return ""
	}
	return pids[0]
}

// systemctl runs that in the machine.
func (m *machine) systemctl(args ...string) (string, error) {
	return m.run(append([]string{"/usr/bin/systemctl"}, args...)...)
}

// run runs a command in the machine and returns what it prints.
func (m *machine) run(command ...string) (string, error) {
	systemd := m.pids("init.scope")
	if len(systemd) == 0 {
		return "", fmt.Errorf("the machine is not up")
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nsenter", append([]string{"--target", systemd[0], "--all"}, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// waitActive waits until systemd calls the unit active, which the program has
// to tell it.
func (m *machine) waitActive() {
	m.t.Helper()
	eventually(m.t, m.unit+" is active", func() bool {
		state, _ := m.systemctl("is-active", m.unit)
		return state == "active"
	})
}

// TestSystemd: a real systemd runs the template unit as it is shipped: it is told
// that the program is ready, the program measures with the unit's few
// privileges, reloads, is started again when it hangs, and ends when asked.
func TestSystemd(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t, "shipped")
	prober, far := l.Host("prober"), l.Host("far")
	near, _ := l.Connect(prober, far, lab.Link{A: []string{"192.0.2.1/24"}, B: []string{"192.0.2.2/24"}})
	const head = `
global: {probe_name: lab, interval: 1, nb_proc: 1, logging_level: INFO, prometheus_address: 127.0.0.1, prometheus_port: 8000, dns_update_interval: 0}
groups: {g: {}}
targets:
  one: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.4}
`
	m := boot(t, prober, near.Name, head)
	measures := func(target string) {
		t.Helper()
		eventually(t, "a round of "+target+" without loss", func() bool {
			page, err := get(prober, "http://127.0.0.1:8000/metrics")
			return err == nil && strings.Contains(page, fmt.Sprintf("icmp_loss_ratio{probe_name=\"lab\",destination=%q,address_family=\"ipv4\",state=\"None\",group=\"g\"} 0\n", target))
		})
	}
	m.waitActive()
	measures("one")

	first := m.main()
	status, err := os.ReadFile(filepath.Join("/proc", first, "status"))
	if err != nil {
		t.Fatal(err)
	}
	const caps = "000000c000007000" // NET_ADMIN, NET_RAW, IPC_LOCK, PERFMON, BPF
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t" + caps, "CapBnd:\t" + caps} {
		if !strings.Contains(string(status), want+"\n") {
			t.Errorf("the process lacks %q:\n%s", want, status)
		}
	}
	if strings.Contains(string(status), "Uid:\t0\t") {
		t.Error("it runs as root")
	}

	write(t, m.root, "etc/netprobe-xdp/"+near.Name+".yaml", []byte(head+"  two: {type: ICMPping, destination: 192.0.2.2, nb_packets: 10, timeout: 0.4}\n"))
	if out, err := m.systemctl("reload", m.unit); err != nil {
		t.Fatal(err, out)
	}
	measures("two")
	if m.main() != first {
		t.Error("the reload started another process")
	}

	pid, err := strconv.Atoi(first)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process in place of the one that hangs", func() bool { return !slices.Contains([]string{"", first}, m.main()) })
	m.waitActive()
	measures("two")

	if out, err := m.systemctl("stop", m.unit); err != nil {
		t.Fatal(err, out)
	}
	if out, err := m.systemctl("show", "--property=Result,ExecMainStatus,NRestarts", m.unit); err != nil || out != "Result=success\nNRestarts=1\nExecMainStatus=0" {
		t.Errorf("after the stop: %v\n%s", err, out)
	}
}

// cgroups returns where control groups are mounted, that of version 2 first; ""
// where there is none.
func cgroups(t *testing.T) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{""}
	for line := range strings.Lines(string(mounts)) {
		switch f := strings.Fields(line); f[2] {
		case "cgroup2":
			all[0] = f[1]
		case "cgroup":
			all = append(all, f[1])
		}
	}
	return all
}

// removeCgroup removes a control group and those below it.
func removeCgroup(path string) error {
	var all []string
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, p)
		}
		return nil // files of a group that goes meanwhile are gone
	})
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		err = os.Remove(all[i])
	}
	return err
}

package observe

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/observe/doctor"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// doctor runs `sluice doctor` and returns its findings as lines, and its exit code.
func (r *rig) doctor(node *testbed.Node, args ...string) (findings string, code int) {
	r.T.Helper()
	out, errs, err := testrig.Try(node, r.Env(), testrig.Built(r.T, "sluice"), append([]string{"doctor", "--json"}, args...)...)
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else {
		require.NoError(r.T, err)
	}
	if code == 2 {
		return errs, code
	}
	var rep struct {
		Well     bool
		Findings []doctor.Finding
	}
	require.NoError(r.T, json.Unmarshal([]byte(out), &rep), out)
	require.Equal(r.T, code == 0, rep.Well)
	for _, f := range rep.Findings {
		findings += string(f.Verdict) + " " + f.About + ": " + f.What + "\n"
	}
	return findings, code
}

func TestDoctorOfTheHost(t *testing.T) {
	r := newRig(t)
	said, code := r.doctor(r.Server)
	require.Zero(t, code, said)
	for _, want := range []string{"ok AF_XDP:", "ok BPF:", "ok TCP_REPAIR:", "ok broker: answers", "ok device veth0: veth, 4 receive queues, MTU 1500"} {
		require.Contains(t, said, want)
	}
	most, err := r.Server.Run("cat", "/proc/sys/net/core/skb_defer_max")
	require.Equal(t, err == nil && strings.TrimSpace(most) != "0", strings.Contains(said, "note net.core.skb_defer_max"), "%v: %s", err, most)
	// Somebody else's XDP program on the device.
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.LoadImm(asm.R0, 2, asm.DWord), asm.Return()}})
	require.NoError(t, err)
	defer prog.Close()
	var l link.Link
	require.NoError(t, r.Server.Do(func() (err error) {
		l, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: r.Server.Ifindex})
		return err
	}))
	said, code = r.doctor(r.Server)
	l.Close()
	require.Equal(t, 1, code)
	require.Contains(t, said, "of somebody else is attached")
	require.NoError(t, r.Server.Do(func() error { return nil }))
	out, _, err := testrig.Try(r.Server, nil, testrig.Built(t, "sluice"), "doctor", "--socket", r.Dir+"/nobody.sock")
	require.Error(t, err)
	require.Contains(t, out, "bad  broker: connect to broker")
}

func TestDoctorOfAProgram(t *testing.T) {
	r := newRig(t)
	s := r.puppet(r.Server, append(r.Env(), "SLUICE_LISTEN=80,82", "SLUICE_CONNECT=10.77.0.2:90"))
	c := r.puppet(r.Client, nil)
	s.do("listen a 0.0.0.0 80")
	s.do("listen b 0.0.0.0 81")
	s.do("listen c 127.0.0.1 82")
	c.do("listen d 0.0.0.0 90")
	c.do("listen e 0.0.0.0 91")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept a x")
	c.do("connect y %s 81", r.Server.IPv4)
	s.do("accept b y")
	s.do("connect z %s 90", r.Client.IPv4)
	s.do("connect w %s 91", r.Client.IPv4)
	s.do("connect l 127.0.0.1 82")
	said, code := r.doctor(r.Server, strconv.Itoa(s.Pid()))
	require.Zero(t, code, said)
	name := "python3[" + strconv.Itoa(s.Pid()) + "]"
	for _, want := range []string{
		"ok " + name + ": has the preload object",
		"ok " + name + " listener 0.0.0.0:80: is accelerated",
		"note " + name + " listener 0.0.0.0:81: stays with the kernel: SLUICE_LISTEN=80,82 does not select it",
		"note " + name + " listener 127.0.0.1:82: stays with the kernel: packets to a loopback address pass no device",
		"ok " + name + ": 2 connections are accelerated",
		"note " + name + ": 1 connections that it made are not selected by SLUICE_CONNECT",
		"note " + name + ": 1 connections came in at a listener that is not selected",
		"note " + name + ": 1 connections are within this host",
	} {
		require.Contains(t, said, want)
	}
	said, code = r.doctor(r.Client, strconv.Itoa(c.Pid()))
	require.Equal(t, 1, code)
	require.Contains(t, said, "was started without the preload object")
	_, code = r.doctor(r.Client, "999999999")
	require.Equal(t, 2, code)
}

func TestDoctorOfACommand(t *testing.T) {
	r := newRig(t)
	for command, want := range map[string]string{
		"nginx":                      "is dynamically linked",
		"no-such-command":            "not found",
		testrig.Built(t, "sluice"):   "is a Go program",
		"/usr/bin/passwd":            "set-user-ID",
		"/etc/passwd":                "permission denied",
		testrig.Built(t, "pingpong"): "is dynamically linked",
	} {
		said, code := r.doctor(nil, command)
		require.Contains(t, said, want)
		require.Equal(t, want == "is dynamically linked", code == 0, said)
		require.LessOrEqual(t, strings.Count(said, "\n"), 2)
	}
}

// Each reason has its words, and what to do: refused by the broker, everything switched off, stopped, handed to the kernel,
// no broker, a static program.
func TestDoctorsReasons(t *testing.T) {
	r := newRig(t)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.LoadImm(asm.R0, 2, asm.DWord), asm.Return()}})
	require.NoError(t, err)
	defer prog.Close()
	var l link.Link
	require.NoError(t, r.Server.Do(func() (err error) {
		l, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: r.Server.Ifindex})
		return err
	}))
	refused := r.puppet(r.Server, r.Env())
	refused.rig = nil // it gets no queue to wait for
	refused.do("listen a 0.0.0.0 80")
	pid := func(p *puppet) string { return strconv.Itoa(p.Pid()) }
	said, code := r.doctor(r.Server, pid(refused))
	l.Close()
	require.Equal(t, 1, code, said)
	require.Contains(t, said, "the broker refused a listener: ")
	require.Contains(t, said, "XDP program")
	refused.Stop(syscall.SIGTERM)

	s, c := r.puppet(r.Server, r.Env()), r.puppet(r.Client, nil)
	s.do("listen a 0.0.0.0 80")
	c.do("connect x %s 80", r.Server.IPv4)
	s.do("accept a x")
	said, code = r.doctor(r.Server, pid(s))
	require.Zero(t, code, said)
	require.Contains(t, said, ": 1 connections are accelerated")
	r.sluice(r.Server, "detach", pid(s))
	said, _ = r.doctor(r.Server, pid(s))
	require.Contains(t, said, "1 connections of accelerated listeners are the kernel's")
	s.Signal(syscall.SIGSTOP)
	said, code = r.doctor(r.Server, pid(s))
	s.Signal(syscall.SIGCONT)
	require.Equal(t, 1, code)
	require.Contains(t, said, "does not answer")

	off := r.puppet(r.Server, append(r.Env(), "SLUICE=off"))
	off.rig = nil
	off.do("listen a 0.0.0.0 82")
	said, code = r.doctor(r.Server, pid(off))
	require.Equal(t, 1, code)
	require.Contains(t, said, "everything is left to the kernel: SLUICE=off")

	out, _, err := testrig.Try(r.Server, nil, testrig.Built(t, "sluice"), "doctor", "--socket", r.Dir+"/nobody.sock", pid(s))
	require.Error(t, err)
	require.Contains(t, out, "bad  broker: connect to broker")
	require.Contains(t, out, "-> start one as root")
	static := r.Dir + "/static"
	testrig.Run(t, nil, "sh", "-c", "echo 'int main(void) { return 0; }' | cc -static -x c - -o "+static)
	said, code = r.doctor(nil, static)
	require.Equal(t, 1, code)
	require.Contains(t, said, "is statically linked")
}

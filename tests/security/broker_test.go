// Package security tests what docs/security.md promises of a running broker; what a broker refuses is tested in package broker.
package security

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// kept are the numbers of the capabilities that cmd/sluice keeps.
var kept = map[string]int{
	"CAP_NET_ADMIN":        unix.CAP_NET_ADMIN,
	"CAP_NET_RAW":          unix.CAP_NET_RAW,
	"CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	"CAP_CHOWN":            unix.CAP_CHOWN,
	"CAP_BPF":              unix.CAP_BPF,
	"CAP_PERFMON":          unix.CAP_PERFMON,
	"CAP_SYS_ADMIN":        unix.CAP_SYS_ADMIN,
	"CAP_SYS_PTRACE":       unix.CAP_SYS_PTRACE,
	"CAP_SYS_RESOURCE":     unix.CAP_SYS_RESOURCE,
	"CAP_IPC_LOCK":         unix.CAP_IPC_LOCK,
}

func TestTheBrokerKeepsFewCapabilities(t *testing.T) {
	r := testrig.New(t, testbed.Config{})
	var want uint64
	for _, c := range kept {
		want |= 1 << c
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Broker.Pid()))
	require.NoError(t, err)
	for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
		var have uint64
		_, after, found := strings.Cut(string(status), set+":\t")
		require.True(t, found)
		_, err := fmt.Sscanf(after, "%x", &have)
		require.NoError(t, err)
		require.Zero(t, have&^want, "%s has %x more than %x", set, have&^want, want)
	}
}

// systemd gives it no others.
func TestTheUnitGrantsTheSameCapabilities(t *testing.T) {
	unit, err := os.ReadFile("../../packaging/sluice.service")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
	require.True(t, found)
	line, _, _ := strings.Cut(after, "\n")
	require.ElementsMatch(t, slices.Collect(maps.Keys(kept)), strings.Fields(line))
}

// The policy is asked for a real program: the port it names is accelerated, the other one works by the kernel and says why.
func TestThePolicyIsObeyed(t *testing.T) {
	r := testrig.New(t, testbed.Config{})
	path := filepath.Join(r.Dir, "policy.yaml")
	require.NoError(t, os.WriteFile(path, []byte("rules:\n  - users: [root]\n    listen: [8000]\n"), 0o644))
	socket := filepath.Join(r.Dir, "second.sock")
	b := testrig.Start(t, nil, nil, testrig.Built(t, "sluice"), "broker", "--socket", socket, "--pins", filepath.Join(r.Dir, "bpf2", "sluice"), "--policy", path)
	defer b.Stop(unix.SIGTERM)
	testrig.Until(t, "the second broker's answer", func() bool { _, err := testrig.QueryStatus(socket); return err == nil })
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, "page"), []byte("hello\n"), 0o644))

	for port, accelerated := range map[int]bool{8000: true, 8001: false} {
		env := []string{"SLUICE_BROKER=" + socket, fmt.Sprintf("SLUICE_LISTEN=%d", port)}
		p := testrig.Start(t, r.Server, env, testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.Dir, fmt.Sprint(port))
		testrig.Until(t, "the page", func() bool {
			out, _, err := testrig.Try(r.Client, nil, "curl", "-sS", "-m", "5", fmt.Sprintf("http://%s:%d/page", r.Server.IPv4, port))
			return err == nil && out == "hello\n"
		})
		if accelerated {
			testrig.Until(t, "a lease", func() bool { st, err := testrig.QueryStatus(socket); return err == nil && len(st.Leases) > 0 })
		} else {
			testrig.Until(t, "the reason", func() bool {
				return strings.Contains(p.Output(), "the policy has no rule that lets uid 0 listen on port 8001 of veth0")
			})
		}
		p.Stop(unix.SIGTERM)
	}
}

// A connection that goes to the kernel belongs to its program's user there, as if the kernel had accepted it.
func TestAMovedConnectionIsItsUsers(t *testing.T) {
	r := testrig.New(t, testbed.Config{})
	bin := filepath.Join(r.Dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	for _, f := range []string{"sluice", "libsluice.so", "libsluice_engine.so"} { // where every user can read them
		data, err := os.ReadFile(testrig.Built(t, f))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(bin, f), data, 0o755))
	}
	p := testrig.Start(t, r.Server, append(r.Env(), "SLUICE_LISTEN=8000"), "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		filepath.Join(bin, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "--directory", r.Dir, "8000")
	testrig.Until(t, "queues", func() bool {
		if st := r.Status(); len(st.QueuesByPID()) == 1 {
			return true
		}
		testrig.Try(r.Client, nil, "curl", "-s", "-m", "1", fmt.Sprintf("http://%s:8000/", r.Server.IPv4))
		return false
	})
	var c net.Conn
	require.NoError(t, r.Client.Do(func() (err error) {
		c, err = net.Dial("tcp", fmt.Sprintf("%s:8000", r.Server.IPv4))
		return err
	}))
	defer c.Close()
	_, err := c.Write([]byte("GET / HTTP/1.0\r\n"))
	require.NoError(t, err)
	testrig.Until(t, "the connection in the kernel, with its user", func() bool {
		testrig.Try(nil, r.Env(), testrig.Built(t, "sluice"), "detach", fmt.Sprint(p.Pid()))
		return strings.Contains(testrig.Run(t, r.Server, "ss", "-tneH", "state", "established", "sport", "8000"), "uid:65534")
	})
}

// Without its policy a broker would allow everything, so it does not start.
func TestABrokerWithABadPolicyDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.yaml")
	for text, why := range map[string]string{"rules: [{listen: [http]}]": "is no number", "": "may write it"} {
		mode := os.FileMode(0o600)
		if text == "" {
			mode = 0o666
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chmod(path, mode))
		_, stderr, err := testrig.Try(nil, nil, testrig.Built(t, "sluice"), "broker", "--socket", filepath.Join(dir, "s"), "--pins", filepath.Join(dir, "bpf", "x"), "--policy", path)
		require.Error(t, err)
		require.Contains(t, stderr, why)
	}
}

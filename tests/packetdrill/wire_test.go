package packetdrill

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// wireScripts run over a wire, against the engine in packetdrill's own process; those with TCP_INFO get it through libc and
// the preload object. Their poll(2) on the listener, well before the SYN, is what loads the engine.
var wireScripts = []string{"tcp-info", "handshake-active", "initial-window", "rst-in-window", "close-active", "close-unread", "sack-blocks"}

// Wire mode: packetdrill runs preloaded, its sockets accelerated, in one namespace; in the other one packetdrill --wire_server
// says what the peer says. The two talk over a veth pair of their own.
//
//	┌─ server ──────────────────────┐      ┌─ client ─────────────────┐
//	│ packetdrill --wire_client     │ veth0│ packetdrill --wire_server│
//	│ LD_PRELOAD=libsluice.so       ╪══════╪ control                  │
//	│ 192.168.0.1:8080         wire0╪══════╪wire1   192.0.2.1         │
//	└───────────────────────────────┘      └──────────────────────────┘
func TestWire(t *testing.T) {
	ours, _ := runners(t)
	r := testrig.New(t, testbed.Config{Queues: 1})
	run := func(n *testbed.Node, args ...string) { testrig.Run(t, n, "ip", args...) }
	run(r.Server, "link", "add", "wire0", "numtxqueues", "1", "numrxqueues", "1", "type", "veth", "peer", "name", "wire1", "netns", r.Client.Name)
	run(r.Client, "link", "set", "wire1", "up")
	run(r.Server, "addr", "add", "192.168.0.1/16", "dev", "wire0")
	run(r.Server, "link", "set", "wire0", "up")
	for n, dev := range map[*testbed.Node]string{r.Server: "wire0", r.Client: "wire1"} {
		testrig.Run(t, n, "ethtool", "-K", dev, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off")
	}
	server := testrig.Start(t, r.Client, nil, ours.Program, "--wire_server", "--wire_server_dev=wire1", "--wire_server_port=8081")
	t.Cleanup(func() { server.Stop(syscall.SIGKILL) })
	testrig.Until(t, "the wire server listens", func() bool {
		out, _, _ := testrig.Try(r.Client, nil, "ss", "-Hltn", "sport = :8081")
		return strings.TrimSpace(out) != ""
	})
	env := append(r.Env(), "SLUICE_LISTEN=8080", "SLUICE_CONNECT=192.0.2.1:8080", "SLUICE_DEVICES=wire0", "LD_PRELOAD="+testrig.Built(t, "libsluice.so"))
	for _, name := range wireScripts {
		t.Run(name, func(t *testing.T) {
			script, err := filepath.Abs(name + ".pkt")
			require.NoError(t, err)
			sh := `cd "$1"; shift; exec "$@"`
			out, errs, err := testrig.Try(r.Server, env, "sh", "-c", sh, "sh", filepath.Dir(script), "timeout", "60", ours.Program,
				"--wire_client", "--wire_client_dev=wire0", "--wire_server_ip="+r.Client.IPv4.String(), "--wire_server_port=8081",
				"--ip_version=ipv4", "--local_ip=192.168.0.1", "--gateway_ip=192.168.0.2", "--netmask_ip=255.255.0.0",
				"--remote_ip=192.0.2.1", "--tolerance_usecs=100000", filepath.Base(script))
			require.NoError(t, err, "%s%s", out, errs)
		})
	}
	e := r.Status().Ended
	t.Logf("accelerated: %d accepted, %d connected", e["accepted"], e["connected"])
	require.EqualValues(t, len(wireScripts), e["accepted"]+e["connected"], "every script's connection was accelerated")
}

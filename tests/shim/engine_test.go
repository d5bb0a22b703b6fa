package shim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestProgramsOverTheEngine runs the same programs over the real engine, their peers in another namespace.
func TestProgramsOverTheEngine(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	sources, err := filepath.Glob("prog/*.c")
	require.NoError(t, err)
	forks, err := filepath.Glob("prog/forks/*.c") // those need a broker
	require.NoError(t, err)
	engine, err := filepath.Glob("prog/engine/*.c") // those compare what a stand-in does not have
	require.NoError(t, err)
	sources = append(append(sources, forks...), engine...)
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket)
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(dir, name)
			cc(t, program, source)
			kernel := outputOf(t, exec.Command(program), bed.Server.Start, place...)
			require.NotContains(t, kernel, "failed:")
			require.Equal(t, kernel, outputOf(t, exec.Command(program), bed.Server.Start, preload...))
		})
	}
	bedtest.Until(t, "packets of hidden queues to be counted", func() bool { return packets(t, socket) > 0 })
	bedtest.Until(t, "leases to end", func() bool {
		status, err := broker.Query(socket, 15*time.Second)
		return err == nil && len(status.Leases) == 0
	})
}

// TestOutgoingOverTheEngine runs programs whose connections are made by the engine, their peers in another namespace.
func TestOutgoingOverTheEngine(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	sources, err := filepath.Glob("prog/out/*.c")
	require.NoError(t, err)
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_PEER_HOST=" + bed.Client.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*", "SLUICE_LOG=off")
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(dir, name)
			cc(t, program, source)
			kernel := outputOf(t, exec.Command(program), bed.Server.Start, place...)
			require.NotContains(t, kernel, "failed:")
			require.Equal(t, kernel, outputOf(t, exec.Command(program), bed.Server.Start, preload...))
		})
	}
	bedtest.Until(t, "connections of the engine to be counted", func() bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && st.Ended["connected"] > 0
	})
}

// Behind a connection that has ended its kernel socket serves the next one.
func TestKernelSocketsServeAgain(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "recycled")
	cc(t, program, "prog/out/recycled.c")
	place := []string{"SLT_PEER_HOST=" + bed.Client.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*", "SLUICE_LOG=off")
	made := func(env []string) (n int) {
		out := outputOf(t, exec.Command(program, "made"), bed.Server.Start, env...)
		_, err := fmt.Sscanf(out, "made: %d", &n)
		require.NoError(t, err, out)
		return n
	}
	require.Equal(t, 100, made(place))
	require.LessOrEqual(t, made(preload), 20, "eight are open at a time")
	require.Equal(t, 100, made(append(preload, "SLUICE_FAST=ack,batch,checksum,cork,peek,plain,prefetch,tso")))
}

func built(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root, "build", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make first", err)
	}
	return path
}

// startBroker gives the socket of a broker that ends with the test.
func startBroker(t *testing.T, dir string) string {
	t.Helper()
	socket := filepath.Join(dir, "broker.sock")
	c := exec.Command(built(t, "sluice"), "broker", "--socket", socket, "--pins", filepath.Join(dir, "bpf", "sluice"))
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(15*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("the broker said:\n%s", said.String())
		}
	})
	bedtest.Until(t, "the broker's answer", func() bool {
		_, err := broker.Query(socket, 15*time.Second)
		return err == nil
	})
	return socket
}

func packets(t *testing.T, socket string) uint64 {
	t.Helper()
	status, err := broker.Query(socket, 15*time.Second)
	require.NoError(t, err)
	rx, tx := status.Packets()
	return rx + tx
}

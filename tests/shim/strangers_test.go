package shim

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestNothingToReadFromAStranger: the kernel gives each descriptor that comes to the engine the lowest free number first. A thread that looks
// there meanwhile finds nothing to read. (It did: the one octet with which the broker sent the sockets of leased ports.)
func TestNothingToReadFromAStranger(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "strangers")
	cc(t, program, "strangers/strangers.c")
	host, port := echo(t, bed.Client)
	preload := []string{"LD_PRELOAD=" + built(t, "libsluice.so"), "SLUICE_BROKER=" + socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*"}
	for range 5 {
		require.Equal(t, "40 connections, 0 octets\n", outputOf(t, exec.Command(program, host, port), bed.Server.Start, preload...))
	}
}

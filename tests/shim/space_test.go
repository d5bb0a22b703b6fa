package shim

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestLimitedSpace: a program that limits its own address space and data (as vsftpd's sessions and dovecot's processes do) sees the same by the kernel
// and accelerated, and is accelerated: it is run until all of its connections were the engine's.
func TestLimitedSpace(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "space")
	cc(t, program, "space/space.c")
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket)
	kernel := outputOf(t, exec.Command(program), bed.Server.Start, place...)
	require.NotContains(t, kernel, "failed:")
	before := uint64(0)
	bedtest.Until(t, "all connections to be the engine's", func() bool {
		require.Equal(t, strings.Split(kernel, "\n"), strings.Split(outputOf(t, exec.Command(program), bed.Server.Start, preload...), "\n"))
		st, err := broker.Query(socket, bedtest.CleanLimit)
		require.NoError(t, err)
		now := st.Ended["accepted"]
		t.Logf("%d", now-before)
		full := now >= before+4
		before = now
		return full
	})
}

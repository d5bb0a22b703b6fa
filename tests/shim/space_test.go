package shim

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestLimitedSpace: a program that limits its own address space and data (as vsftpd's sessions and dovecot's processes do) sees the same by the kernel
// and accelerated, and is accelerated: it is run until all of its connections were the engine's.
func TestLimitedSpace(t *testing.T) {
	const queues = 4
	bed := bedtest.New(t, testbed.Config{Queues: queues})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "space")
	cc(t, program, "space/space.c")
	place := []string{"SLT_HOST=" + bed.Server.IPv4.String(), "SLT_PEER_NS=" + bed.Client.Path()}
	preload := append(place, "LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLT_SETTLE="+settler(t, queues, socket))
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

// settler answers each program that connects to the returned path and says its pid, as soon as packets of all queues come to that.
func settler(t *testing.T, queues int, socket string) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "settle"))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	settled := func(pid int) bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && slices.ContainsFunc(st.Leases, func(l broker.LeaseStatus) bool { return l.Pid == pid && len(l.Queues) == queues })
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var pid int
			_, err = fmt.Fscan(c, &pid)
			for end := time.Now().Add(bedtest.CleanLimit); err == nil && !settled(pid) && time.Now().Before(end); {
				time.Sleep(5 * time.Millisecond)
			}
			c.Write([]byte{1})
			c.Close()
		}
	}()
	return l.Addr().String()
}

package shim

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestConnectionsInTurn makes many connections one after the other (make turns: 50,000), by the kernel and by the engine: neither runs out
// of ports, and nothing is left of them.
func TestConnectionsInTurn(t *testing.T) {
	turns := "100"
	if s := os.Getenv("SLT_TURNS"); s != "" {
		turns = s
	}
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	program := filepath.Join(dir, "turns")
	cc(t, program, "turns/turns.c")
	host, port, served := answerer(t, bed.Client)
	run := func(env ...string) string {
		c := exec.Command(program, turns, host, port)
		c.Env = env
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		require.NoError(t, bed.Server.Start(c))
		stop := time.AfterFunc(20*time.Minute, func() { _ = c.Process.Kill() })
		defer stop.Stop()
		require.NoError(t, c.Wait(), "%s", out.String())
		return out.String()
	}
	kernel := run()
	require.Equal(t, "descriptors left: few\n", kernel)
	require.Equal(t, kernel, run("LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*"))
	n, err := strconv.Atoi(turns)
	require.NoError(t, err)
	require.Equal(t, 2*n, served())
	bedtest.Until(t, "the lease to end", func() bool {
		status, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && len(status.Leases) == 0 && status.Ended["connected"] >= uint64(n)*9/10
	})
	bedtest.Until(t, "no socket to hold a port", func() bool {
		out, err := bed.Server.Run("ss", "-Htan", "state", "all")
		return err == nil && strings.TrimSpace(out) == ""
	})
}

// answerer answers each connection and ends it first; served is how many there were.
func answerer(t *testing.T, n *testbed.Node) (host, port string, served func() int) {
	var l net.Listener
	require.NoError(t, n.Do(func() (err error) {
		l, err = net.Listen("tcp", n.IPv4.String()+":0")
		return err
	}))
	done := make(chan int)
	go func() {
		count := 0
		defer func() { done <- count }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 8)
			if _, err := io.ReadFull(c, b); err == nil {
				_, _ = c.Write(b)
				count++
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { l.Close() })
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port, func() int {
		l.Close()
		return <-done
	}
}

package endurance

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

const deafOctets = 200_000 // each deaf connection is sent

// TestFullMemory sends more to connections that nobody reads than a program has memory for packets: windows close, a connection that is read goes on, and
// once all are read every octet is there.
func TestFullMemory(t *testing.T) {
	const port = 9100
	n := wanted(t, "SLT_FULL", 600)
	r := testrig.New(t, testbed.Config{Queues: 1})
	program := compile(t, r, "prog/full.c")
	in, order, err := os.Pipe()
	require.NoError(t, err)
	defer order.Close()
	server := testrig.StartWithInput(t, r.Server, in, append(r.Env(), fmt.Sprintf("SLUICE_LISTEN=%d", port)), testrig.Built(t, "sluice"), "run", "--", program, r.Server.IPv4.String(), fmt.Sprint(port))
	in.Close()
	testrig.Until(t, "the server to be accelerated", func() bool { return accelerated(r) == 1 })
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	open := func(kind string) net.Conn {
		var c net.Conn
		require.NoError(t, r.Client.Do(func() (err error) {
			c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", r.Server.IPv4, port), testrig.Patience)
			return err
		}))
		conns = append(conns, c)
		_, err := io.WriteString(c, kind)
		require.NoError(t, err)
		return c
	}
	var live net.Conn
	testrig.Until(t, "a connection to be the engine's", func() bool { // while the queue comes the kernel serves them
		live = open("e")
		echoes(t, live)
		return r.Status().Sum("accepted") > 0
	})
	counted := r.Status().Sum("accepted")
	var sent atomic.Int64
	var done sync.WaitGroup
	said := make([]string, n)
	for i := range n {
		c := open("d")
		done.Go(func() { said[i] = sendDeaf(c, &sent) })
	}
	least := standstill(t, r, &sent)
	require.Less(t, sent.Load(), int64(n)*deafOctets, "nothing held the senders back")
	stood := sent.Load()
	for range 20 {
		echoes(t, live)
	}
	_, err = order.WriteString("\n")
	require.NoError(t, err)
	done.Wait()
	for i := range n {
		require.Equal(t, fmt.Sprintf("%d, 0", deafOctets), said[i], "connection %d; the server: %s", i, server.Output())
	}
	echoes(t, live)
	require.Equal(t, 1, accelerated(r))
	testrig.Until(t, "all to be counted as the engine's", func() bool { return r.Status().Sum("accepted") >= counted+uint64(n) })
	t.Logf("%d connections stood still after %d octets, with %d of %d frames free; then all of %d came", n, stood, least.Free, least.Frames, n*deafOctets)
}

// sendDeaf sends what is to be sent, and returns the server's answer, or what went wrong.
func sendDeaf(c net.Conn, sent *atomic.Int64) string {
	piece := make([]byte, 251*8)
	for i := range piece {
		piece[i] = byte(i % 251)
	}
	for left := deafOctets; left > 0; {
		k, err := c.Write(piece[:min(left, len(piece))])
		sent.Add(int64(k))
		if err != nil {
			return err.Error()
		}
		left -= k
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err.Error()
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

// standstill waits until nothing is sent any more for a second, and returns what the server's memory then is.
func standstill(t *testing.T, r *testrig.Rig, sent *atomic.Int64) proto.Gauges {
	last, since := int64(-1), time.Now()
	testrig.Until(t, "senders to stand still", func() bool {
		if now := sent.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	})
	b, err := ask.Dial(r.Socket(), "full")
	require.NoError(t, err)
	defer b.Close()
	for pid := range r.Status().QueuesByPID() {
		of, err := b.Counters(pid)
		require.NoError(t, err)
		return of.Engine
	}
	t.Fatal("nobody has a queue")
	return proto.Gauges{}
}

// echoes: a connection that is read has its octets there and back.
func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(testrig.Patience)))
	_, err := io.WriteString(c, "there and back")
	require.NoError(t, err)
	b := make([]byte, len("there and back"))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, "there and back", string(b))
}

// Package examples tests the programs in the folders below it, each between two namespaces joined by veth.
package examples

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/tests/testrig"
)

// start starts an example in a namespace, and waits until it is ready.
func start(t *testing.T, n *testbed.Node, name string, args ...string) *testrig.Proc {
	t.Helper()
	p := testrig.Start(t, n, nil, testrig.Built(t, "efvi-"+name), args...)
	testrig.Until(t, name+" to be ready", func() bool {
		select {
		case <-p.Done:
			t.Fatalf("%s ended: %s", name, p.Output())
		default:
		}
		return strings.Contains(p.Output(), "ready")
	})
	return p
}

// dial connects in a namespace.
func dial(t *testing.T, n *testbed.Node, network, to string) (c net.Conn) {
	t.Helper()
	require.NoError(t, n.Do(func() (err error) {
		c, err = net.DialTimeout(network, to, testrig.Patience)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// echo serves one TCP connection in a namespace.
func echo(t *testing.T, n *testbed.Node, at string) {
	t.Helper()
	var l net.Listener
	require.NoError(t, n.Do(func() (err error) {
		l, err = net.Listen("tcp", at)
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var b [16]byte
		if n, err := c.Read(b[:]); err == nil {
			_, _ = c.Write(b[:n])
		}
	}()
}

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(testrig.Patience)))
	_, err := c.Write([]byte("hello"))
	require.NoError(t, err)
	var b [5]byte
	_, err = c.Read(b[:])
	require.NoError(t, err)
	require.Equal(t, "hello", string(b[:]))
}

// They are to be read in one go.
func TestExamplesAreSmall(t *testing.T) {
	found, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	require.Len(t, found, 3)
	for _, path := range found {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Less(t, strings.Count(string(text), "\n"), 120, path)
	}
}

// Every datagram of the flood is counted and none reaches the kernel, whose own connection goes on beside it.
func TestSinkDropsAFloodWhileTheKernelServes(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	to := net.JoinHostPort(bed.Server.IPv4.String(), "9999")
	other := net.JoinHostPort(bed.Server.IPv4.String(), "9998")
	p := start(t, bed.Server, "sink", "-device", bed.Server.Device, "-to", to)
	var kernel net.PacketConn
	require.NoError(t, bed.Server.Do(func() (err error) {
		kernel, err = net.ListenPacket("udp4", other)
		return err
	}))
	t.Cleanup(func() { kernel.Close() })
	echo(t, bed.Server, to) // TCP, of the same number
	flood, beside := dial(t, bed.Client, "udp", to), dial(t, bed.Client, "udp", other)
	const packets = 20000
	for range packets {
		_, err := flood.Write([]byte("flood"))
		require.NoError(t, err, "a kernel that took one of them would answer that nobody listens")
	}
	ask(t, dial(t, bed.Client, "tcp", to))
	_, err := beside.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, kernel.SetReadDeadline(time.Now().Add(testrig.Patience)))
	_, _, err = kernel.ReadFrom(make([]byte, 16))
	require.NoError(t, err, "another port is the kernel's")
	p.Stop(syscall.SIGTERM)
	var got, bytes int
	out := p.Output()
	_, err = fmt.Sscanf(out[strings.Index(out, "total"):], "total %d packets %d bytes", &got, &bytes)
	require.NoError(t, err, out)
	require.LessOrEqual(t, got, packets)
	require.Greater(t, got, packets/2, "some may be lost while the sink waits for a processor")
	require.Equal(t, got*(14+20+8+5), bytes)
}

// Two hosts that nothing joins talk through the forwarder, and no more once it has ended.
func TestForwarderJoinsTwoDevices(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2, Middle: true})
	for _, n := range []*testbed.Node{bed.Server, bed.Client} {
		testrig.Run(t, n, "ethtool", "-K", n.Device, "tx", "off", "gso", "off", "tso", "off")
	}
	p := start(t, bed.Middle, "forward", testbed.ToServer, testbed.ToClient)
	for _, ip := range []string{bed.Server.IPv4.String(), bed.Server.IPv6.String()} {
		at := net.JoinHostPort(ip, "7")
		echo(t, bed.Server, at)
		ask(t, dial(t, bed.Client, "tcp", at))
	}
	p.Stop(syscall.SIGTERM)
	var there, back int
	out := p.Output()
	_, err := fmt.Sscanf(out[strings.Index(out, "there"):], "there %d back %d", &there, &back)
	require.NoError(t, err, out)
	require.Greater(t, there, 8)
	require.Greater(t, back, 8)
}

func TestPingPongMeasures(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	start(t, bed.Server, "pingpong", "-device", bed.Server.Device)
	mac := net.HardwareAddr(bed.Server.MAC[:]).String()
	out := testrig.Run(t, bed.Client, testrig.Built(t, "efvi-pingpong"), "-device", bed.Client.Device, "-to", mac, "-count", "100")
	require.Regexp(t, `^p50 [\d.]+.?s p99 [\d.]+.?s max [\d.]+.?s\n$`, out)
}

// The same by the driver: nothing is lost, so all are counted.
func TestSinkDropsEarly(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	to := net.JoinHostPort(bed.Server.IPv6.String(), "9999")
	p := start(t, bed.Server, "sink", "-device", bed.Server.Device, "-to", to, "-early")
	flood := dial(t, bed.Client, "udp", to)
	const packets = 1000
	for range packets {
		_, err := flood.Write([]byte("flood"))
		require.NoError(t, err)
	}
	echo(t, bed.Server, to)
	ask(t, dial(t, bed.Client, "tcp", to)) // behind them
	testrig.Until(t, "a second's count", func() bool { return strings.Contains(p.Output(), "packets/s") })
	p.Stop(syscall.SIGTERM)
	require.Contains(t, p.Output(), fmt.Sprintf("total %d packets %d bytes", packets, packets*(14+40+8+5)))
}

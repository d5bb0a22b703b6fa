package shim

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
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

// dialler is a program that connects as it is told.
type dialler struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Writer
	out  *bufio.Scanner
	errs bytes.Buffer
}

// startDialler runs ports.c in the server's namespace against an echo in the client's.
func startDialler(t *testing.T, bed *testbed.Bed, dir, socket string, wrap ...string) *dialler {
	t.Helper()
	program := filepath.Join(dir, "ports")
	cc(t, program, "ports/ports.c")
	host, port := echo(t, bed.Client)
	args := append(wrap, program, host, port)
	d := &dialler{t: t, cmd: exec.Command(args[0], args[1:]...)}
	d.cmd.Env = []string{"PATH=/usr/bin:/bin", "LD_PRELOAD=" + built(t, "libsluice.so"), "SLUICE_BROKER=" + socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*"}
	d.cmd.Stderr = &d.errs
	in, err := d.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	d.in, d.out = in, bufio.NewScanner(out)
	require.NoError(t, bed.Server.Start(d.cmd))
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		if t.Failed() {
			t.Logf("the program said:\n%s", d.errs.String())
		}
	})
	return d
}

// do gives an order and returns what came of it.
func (d *dialler) do(order string) string {
	d.t.Helper()
	_, err := fmt.Fprintln(d.in, order)
	require.NoError(d.t, err)
	stop := time.AfterFunc(time.Minute, func() { _ = d.cmd.Process.Kill() })
	defer stop.Stop()
	require.True(d.t, d.out.Scan(), "%s: %s", order, d.errs.String())
	word, _, _ := strings.Cut(order, " ")
	answer, ok := strings.CutPrefix(d.out.Text(), word+": ")
	require.True(d.t, ok, "%s: %s %s", order, d.out.Text(), d.errs.String())
	return answer
}

// echo answers until the other side has had enough.
func echo(t *testing.T, n *testbed.Node) (host, port string) {
	t.Helper()
	return n.IPv4.String(), fmt.Sprint(bedtest.Echo(t, n))
}

// leaseOf is the only lease there is; nil: none, or no broker.
func leaseOf(socket string) *broker.LeaseStatus {
	status, err := broker.Query(socket, bedtest.CleanLimit)
	if err != nil || len(status.Leases) != 1 {
		return nil
	}
	return &status.Leases[0]
}

// TestPortsRunOutForNobody: a host with few ports. The engine takes half of them at most; when each of those is in TIME-WAIT the kernel
// connects, and no connect fails while the host has a port.
func TestPortsRunOutForNobody(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	_, err := bed.Server.Run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40199")
	require.NoError(t, err)
	d := startDialler(t, bed, dir, socket)
	require.Equal(t, "1", d.do("hold"), "as long as there is a connection no port goes back, however long the others take")
	require.Equal(t, "190", d.do("burst 190"), "every connection with a port of its own, and none failed")
	var l *broker.LeaseStatus
	bedtest.Until(t, "the lease", func() bool { l = leaseOf(socket); return l != nil })
	require.Greater(t, l.Ports, 50)
	require.LessOrEqual(t, l.Ports, 100)
	ours := int(l.Counters["connected"])
	require.Greater(t, ours, 50)
	require.LessOrEqual(t, ours, l.Ports, "the last that are leased may be what the kernel has left, and more than are needed")
	var out string
	bedtest.Until(t, "the others, the kernel's, to be in TIME-WAIT", func() bool { // their peer ends them in its own time
		out, err = bed.Server.Run("ss", "-Htan", "state", "time-wait")
		return err == nil && strings.Count(out, "\n") == 191-ours
	})
	require.NoError(t, d.cmd.Process.Kill())
	bedtest.Until(t, "the lease to end", func() bool {
		status, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && len(status.Leases) == 0
	})
	require.NoError(t, bed.Server.Do(func() error { // no port is lost
		for p := 40000; p < 40200; p++ {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", bed.Server.IPv4, p))
			if err == nil {
				_ = l.Close()
			} else if !strings.Contains(out, fmt.Sprintf(":%d ", p)) {
				return err
			}
		}
		return nil
	}))
}

// TestThousandsOfPorts: a program that ends its connections first needs a port for each of them, for a minute.
func TestThousandsOfPorts(t *testing.T) {
	const many = 5000
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	d := startDialler(t, bed, dir, socket)
	require.Equal(t, "1", d.do("hold"), "no port goes back as long as there is a connection")
	require.Equal(t, fmt.Sprint(many), d.do(fmt.Sprint("burst ", many)))
	l := leaseOf(socket)
	require.NotNil(t, l)
	require.EqualValues(t, 1+many, l.Counters["connected"], "none of them is the kernel's")
	require.GreaterOrEqual(t, l.Ports, many)
}

// TestPortsThatTheKernelChose: of a few ports the kernel, to which they are free, soon chooses one for a socket that is bound whose last
// connection is in our TIME-WAIT. No connect fails of it (Tcl binds each of its sockets).
func TestPortsThatTheKernelChose(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	_, err := bed.Server.Run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40199")
	require.NoError(t, err)
	d := startDialler(t, bed, dir, socket)
	require.Equal(t, "150", d.do("bound 150"))
	l := leaseOf(socket)
	require.NotNil(t, l)
	require.Greater(t, l.Counters["connected"], uint64(20), "the engine's")
}

// TestPortsAreGivenBackAndTakenAgain: with the last connection gone the ports stay for seconds, then they and the queues go.
func TestPortsAreGivenBackAndTakenAgain(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	d := startDialler(t, bed, dir, socket)
	require.Equal(t, "1", d.do("hold"))
	first := leaseOf(socket)
	require.NotNil(t, first)
	require.EqualValues(t, 1, first.Counters["connected"])
	d.do("drop")
	l := leaseOf(socket)
	require.NotNil(t, l)
	require.Equal(t, first.Ports, l.Ports, "the next connection finds them")
	bedtest.Until(t, "ports and queues to go", func() bool {
		l := leaseOf(socket)
		return l != nil && l.Ports == 0 && len(l.Queues) == 0
	})
	require.Equal(t, "100", d.do("spread 100"))
	l = leaseOf(socket)
	require.NotNil(t, l)
	require.EqualValues(t, 101, l.Counters["connected"])
	require.GreaterOrEqual(t, l.Ports, 100)
}

// TestPortsOutliveTheBroker: connections of leased ports go on without a broker, and the next one takes the ports over.
func TestPortsOutliveTheBroker(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := filepath.Join(dir, "broker.sock")
	start := func() *exec.Cmd {
		c := exec.Command(built(t, "sluice"), "broker", "--socket", socket, "--pins", filepath.Join(dir, "bpf", "sluice"))
		require.NoError(t, c.Start())
		t.Cleanup(func() { // by a signal it can take, so that it removes its pins
			_ = c.Process.Signal(syscall.SIGTERM)
			kill := time.AfterFunc(15*time.Second, func() { _ = c.Process.Kill() })
			_ = c.Wait()
			kill.Stop()
		})
		bedtest.Until(t, "the broker's answer", func() bool {
			_, err := broker.Query(socket, bedtest.CleanLimit)
			return err == nil
		})
		return c
	}
	b := start()
	d := startDialler(t, bed, dir, socket)
	require.Equal(t, "1", d.do("hold"))
	require.NoError(t, b.Process.Kill())
	_ = b.Wait()
	require.Equal(t, "2", d.do("hold"), "a port was left: nobody had to be asked")
	require.Equal(t, "2", d.do("ask"))
	start()
	bedtest.Until(t, "the lease to be shown to the new broker", func() bool {
		l := leaseOf(socket)
		return l != nil && l.Ports == 8 && len(l.Queues) > 0
	})
	require.Equal(t, "2", d.do("ask"))
	require.Equal(t, "30", d.do("spread 30"), "more ports from the new one")
	l := leaseOf(socket)
	require.NotNil(t, l)
	require.EqualValues(t, 32, l.Counters["connected"])
	time.Sleep(6 * time.Second) // longer than it waits for owners, after which it removes what nobody showed
	require.Equal(t, "2", d.do("ask"))
	l = leaseOf(socket)
	require.NotNil(t, l)
	require.GreaterOrEqual(t, l.Ports, 32)
}

// TestPortsUnderALimitOfDescriptors: few may be opened; connections are made all the same, and the program's own are not fewer.
func TestPortsUnderALimitOfDescriptors(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	d := startDialler(t, bed, dir, socket, "/bin/sh", "-c", `ulimit -n 128; exec "$0" "$@"`)
	require.Equal(t, "100", d.do("burst 100"))
	require.Equal(t, "40", d.do("spread 40"))
	l := leaseOf(socket)
	require.NotNil(t, l)
	require.Greater(t, l.Counters["connected"], uint64(40))
}

// TestBindBesideOutgoingConnections: whoever binds gets the ports that the kernel would give, while the engine has blocks of them on lease.
func TestBindBesideOutgoingConnections(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	_, err := bed.Server.Run("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40099")
	require.NoError(t, err)
	program := filepath.Join(dir, "binds")
	cc(t, program, "ports/binds.c")
	saw := func(env ...string) string {
		host, port := ender(t, bed.Client) // another one each time: the last one's connections are in TIME-WAIT
		return outputOf(t, exec.Command(program, host, port), bed.Server.Start, env...)
	}
	kernel := saw()
	t.Log(kernel)
	_, err = bed.Server.Run("ss", "-K", "state", "time-wait")
	require.NoError(t, err)
	require.Equal(t, kernel, saw("LD_PRELOAD="+built(t, "libsluice.so"), "SLUICE_BROKER="+socket, "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*"))
	bedtest.Until(t, "connections of the engine to be counted", func() bool {
		st, err := broker.Query(socket, bedtest.CleanLimit)
		return err == nil && st.Ended["connected"] >= 25
	})
}

// ender ends a connection that it got an octet from, or whose other side has ended it.
func ender(t *testing.T, n *testbed.Node) (host, port string) {
	t.Helper()
	return n.IPv4.String(), fmt.Sprint(bedtest.Serve(t, n, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }))
}

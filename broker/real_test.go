package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const nobody = 65534

// realHost is a broker over the real kernel, in a directory that everybody can enter.
func realHost(t *testing.T, change func(*Config)) *Broker {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for XDP and namespaces")
	}
	// The played programs answer no yield; do not wait for them.
	cfg := Config{Log: testLog{t}, Frames: 1024, YieldTimeout: time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	if cfg.Socket == "" {
		cfg.Socket = socketPath(t)
	}
	b, err := Start(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "slt-broker-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		require.NoError(t, os.Remove(dir), "nothing may be left beside the socket")
	})
	return filepath.Join(dir, "b.sock")
}

// serving starts an unprivileged program that has a lease, and returns its port.
func serving(t *testing.T, bed *testbed.Bed, b *Broker, ip string) (*role, string) {
	t.Helper()
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", b.cfg.Socket)
	port := p.do("listen", ip)
	require.Equal(t, strconv.Itoa(4), p.do("lease"))
	return p, port
}

// dial connects from the client's namespace.
func dial(t *testing.T, bed *testbed.Bed, ip netip.Addr, port string, limit time.Duration) (c net.Conn, err error) {
	t.Helper()
	err = bed.Client.Do(func() error {
		c, err = net.DialTimeout("tcp", net.JoinHostPort(ip.String(), port), limit)
		return err
	})
	return c, err
}

// knock tries to connect, beside. Nobody answers.
func knock(t *testing.T, bed *testbed.Bed, ip netip.Addr, port string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := dial(t, bed, ip, port, time.Second); err == nil {
			c.Close()
		}
	}()
	t.Cleanup(func() { <-done })
}

func TestAnUnprivilegedProgramReceives(t *testing.T) {
	for _, ip := range []string{"0.0.0.0", "::"} {
		bed := bedtest.New(t, testbed.Config{})
		b := realHost(t, nil)
		p, port := serving(t, bed, b, ip)
		require.Equal(t, "0000000000000000", p.do("caps"))
		knock(t, bed, bed.Server.IPv4, port)
		if ip == "::" {
			knock(t, bed, bed.Server.IPv6, port)
		}
		bedtest.Until(t, "a SYN in the ring", func() bool { return p.do("received") != "0" })
		s := b.Status()
		require.Len(t, s.Leases, 1)
		require.Len(t, s.Devices, 1)
		require.EqualValues(t, nobody, s.Leases[0].UID)
		require.Equal(t, "native", s.Devices[0].Mode)
		b.Close()
	}
}

func TestKilledProgramLeavesNothing(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	p, port := serving(t, bed, b, "0.0.0.0")
	pid := p.do("sleeper")
	n, err := strconv.Atoi(pid)
	require.NoError(t, err)
	defer unix.Kill(n, unix.SIGKILL)
	p.kill()
	bedtest.Until(t, "the lease to go, though a child has a copy of the channel", func() bool {
		s := b.Status()
		return len(s.Leases) == 0 && len(s.Devices) == 0
	})
	require.NoError(t, unix.Kill(n, 0), "the child still runs")
	_, err = dial(t, bed, bed.Server.IPv4, port, patience)
	require.ErrorIs(t, err, unix.ECONNREFUSED, "the kernel answers again")
}

func TestPeersOfTheDeadGetResets(t *testing.T) {
	for _, ip := range []string{"0.0.0.0", "::"} {
		bed := bedtest.New(t, testbed.Config{})
		b := realHost(t, nil)
		p, port := serving(t, bed, b, ip)
		// The kernel takes the connection while the queues are nobody's; then it becomes the engine's.
		c := kernelConn(t, bed, b, p, ip, port)
		p.do("takeover")
		p.kill()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, unix.ECONNRESET)
		require.EqualValues(t, 1, b.Status().Counters.Resets)
		b.Close()
	}
}

// kernelConn makes a connection that the program accepted from its kernel listener, although it has a lease.
func kernelConn(t *testing.T, bed *testbed.Bed, b *Broker, p *role, ip, port string) net.Conn {
	t.Helper()
	quiet := func(on bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.spaces {
			for _, d := range s.devices {
				for _, q := range d.queues {
					require.NoError(t, d.prog.SetQuiet(q.index, on))
				}
			}
		}
	}
	to := bed.Server.IPv4
	if ip == "::" {
		to = bed.Server.IPv6
	}
	quiet(true)
	c, err := dial(t, bed, to, port, patience)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	p.do("accept")
	quiet(false)
	return c
}

func TestConnectionsMoveBothWays(t *testing.T) {
	for _, ip := range []string{"0.0.0.0", "::"} {
		bed := bedtest.New(t, testbed.Config{})
		b := realHost(t, nil)
		p, port := serving(t, bed, b, ip)
		c := kernelConn(t, bed, b, p, ip, port)
		fmt.Fprint(c, "unread")
		bedtest.Until(t, "the data", func() bool { return p.do("received") == "0" })
		for range 3 {
			p.do("takeover")
			p.do("handover")
		}
		require.Equal(t, "unread", p.do("read"))
		p.do("write", "back")
		buf := make([]byte, 4)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "back", string(buf))
		require.EqualValues(t, 3, b.Status().Counters.HandedOver)
		b.Close()
	}
}

func TestOrphansWaitForTheNextOwner(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	p, port := serving(t, bed, b, "0.0.0.0")
	c := kernelConn(t, bed, b, p, "0.0.0.0", port)
	fmt.Fprint(c, "hello")
	p.do("takeover")
	p.do("orphan")
	require.EqualValues(t, 0, b.Status().Counters.Orphans, "nobody else listens yet")
	// The same program again: its next listener with that address.
	p.kill()
	q := startRole(t, bed.Server, "program", nobody)
	q.do("door", b.cfg.Socket)
	bedtest.Until(t, "the port", func() bool { return true })
	q.do("listenon", port)
	q.do("lease")
	q.do("accepted")
	require.Equal(t, "hello", q.do("read"))
}

func TestANewBrokerAdopts(t *testing.T) { adopts(t, proto.Version) }

// An upgrade: what a program of the version before has is adopted, too.
func TestANewBrokerAdoptsTheVersionBefore(t *testing.T) { adopts(t, proto.Oldest) }

func adopts(t *testing.T, version int) {
	bed := bedtest.New(t, testbed.Config{})
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	socket := socketPath(t)
	pin := filepath.Join(filepath.Dir(socket), "bpf", "sluice")
	first := startRole(t, nil, "broker", 0, socket, pin)
	require.Equal(t, "<nil>", first.line())
	p := startRole(t, bed.Server, "program", nobody)
	p.do("version", fmt.Sprint(version))
	p.do("door", socket)
	port := p.do("listen", "0.0.0.0")
	require.Equal(t, "4", p.do("lease"))
	first.kill()
	knock(t, bed, bed.Server.IPv4, port)
	bedtest.Until(t, "packets without any broker", func() bool { return p.do("received") != "0" })

	b := realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = socket, pin, time.Hour })
	p.do("door", socket)
	require.Equal(t, "true 4 ", p.do("adopt"))
	s := b.Status()
	require.Len(t, s.Leases, 1)
	require.Equal(t, []int{p.cmd.Process.Pid, p.cmd.Process.Pid, p.cmd.Process.Pid, p.cmd.Process.Pid}, s.Devices[0].Owners)
	// Another process, whose flow it is, may not have come yet: a reset now would end its connection.
	flow := []string{"stray", net.JoinHostPort(bed.Server.IPv4.String(), port), net.JoinHostPort(bed.Client.IPv4.String(), "1234")}
	require.Equal(t, "owned false, free false", p.do(flow...))
	b.mu.Lock()
	b.endGrace()
	b.mu.Unlock()
	require.Len(t, b.Status().Devices[0].Owners, 4, "what was adopted stays")
	require.Equal(t, "owned false, free true", p.do(flow...))
	p.kill()
	bedtest.Until(t, "nothing left", func() bool {
		s := b.Status()
		return len(s.Leases) == 0 && len(s.Devices) == 0
	})
	b.Close()
}

func TestAKilledBrokerWithoutPinsLeavesNothing(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	socket := socketPath(t)
	b := startRole(t, nil, "broker", 0, socket, "")
	require.Equal(t, "<nil>", b.line())
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", socket)
	port := p.do("listen", "0.0.0.0")
	require.Equal(t, "4", p.do("lease"))
	b.kill()
	c, err := dial(t, bed, bed.Server.IPv4, port, patience)
	require.NoError(t, err, "the kernel serves")
	c.Close()
	require.NoError(t, os.Remove(socket))
}

func TestStalePinsGoAfterTheGrace(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	socket := socketPath(t)
	pin := filepath.Join(filepath.Dir(socket), "bpf", "sluice")
	first := startRole(t, nil, "broker", 0, socket, pin)
	require.Equal(t, "<nil>", first.line())
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", socket)
	p.do("listen", "0.0.0.0")
	p.do("lease")
	first.kill()
	p.kill()
	b := realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = socket, pin, time.Millisecond })
	bedtest.Until(t, "the pins to go", func() bool {
		left, err := os.ReadDir(pin)
		return err == nil && len(left) == 0
	})
	b.Close()
}

func TestForeignXDPProgramIsLeftAlone(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	var other link.Link
	require.NoError(t, bed.Server.Do(func() (err error) {
		other, err = link.AttachXDP(link.XDPOptions{Program: passAll(t), Interface: bed.Server.Ifindex})
		return err
	}))
	defer other.Close()
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", b.cfg.Socket)
	p.do("listen", "0.0.0.0")
	fmt.Fprintln(p.in, "lease")
	require.NoError(t, p.in.Flush())
	require.Contains(t, p.line(), "another XDP program")
	_, err := other.Info()
	require.NoError(t, err)
}

func TestADeviceThatIsDownIsNamed(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	out, err := bed.Server.Run("ip", "link", "set", bed.Server.Device, "down")
	require.NoError(t, err, out)
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", b.cfg.Socket)
	p.do("listen", "0.0.0.0")
	fmt.Fprintln(p.in, "lease")
	require.NoError(t, p.in.Flush())
	require.Equal(t, "error device "+bed.Server.Device+" left out: it is down", p.line())
}

func TestADeviceThatVanishes(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	serving(t, bed, b, "0.0.0.0")
	out, err := exec.Command("ip", "-n", bed.Server.Name, "link", "del", bed.Server.Device).CombinedOutput()
	require.NoError(t, err, string(out))
	bedtest.Until(t, "the device to be forgotten", func() bool { return len(b.Status().Devices) == 0 })
	require.Len(t, b.Status().Leases, 1, "the program lives")
}

// A program that closes its listener and says nothing gets no more connections of that port: not when nobody listens there, and not when
// somebody else does.
func TestAForsakenListenerGetsNothing(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, nil)
	p, port := serving(t, bed, b, "0.0.0.0")
	knock(t, bed, bed.Server.IPv4, port)
	bedtest.Until(t, "a SYN in the ring", func() bool { return p.do("received") != "0" })
	p.do("forsake")
	_, err := dial(t, bed, bed.Server.IPv4, port, patience)
	require.ErrorIs(t, err, unix.ECONNREFUSED, "at once")
	bedtest.Until(t, "the broker to notice", func() bool { return !b.listens(port) })
	other := startRole(t, bed.Server, "program", nobody)
	other.do("listenon", port)
	c, err := dial(t, bed, bed.Server.IPv4, port, patience)
	require.NoError(t, err, "the other's listener answers")
	c.Close()
}

// listens tells whether a client's listener of the port is not left.
func (b *Broker) listens(port string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		for _, l := range c.listeners {
			if strconv.Itoa(int(l.key.port)) == port && !l.left {
				return true
			}
		}
	}
	return false
}

package broker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// A broker that is killed in the middle of a move takes no connection along, whatever the instant, and none is then in two places.

// dieAt has a broker kill itself at a step, when that comes for the n-th time: "sent 1".
func dieAt(args []string) func(string) {
	if len(args) != 2 {
		return nil
	}
	left, _ := strconv.Atoi(args[1])
	return func(what string) {
		if what != args[0] {
			return
		}
		if left--; left == 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
}

// mortal is a host whose first broker dies at a step, with a program of nobody's.
type mortal struct {
	t           *testing.T
	bed         *testbed.Bed
	socket, pin string
	first       *role
	p           *role
	port        string
}

func newMortal(t *testing.T, step string) *mortal {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := &mortal{t: t, bed: bedtest.New(t, testbed.Config{}), socket: socketPath(t)}
	m.pin = filepath.Join(filepath.Dir(m.socket), "bpf", "sluice")
	m.first = startRole(t, nil, "broker", 0, append([]string{m.socket, m.pin}, strings.Fields(step)...)...)
	require.Equal(t, "<nil>", m.first.line())
	m.p = startRole(t, m.bed.Server, "program", nobody)
	m.p.do("door", m.socket)
	m.port = m.p.do("listen", "0.0.0.0")
	return m
}

// connect makes a connection of the kernel's, before there is a lease.
func (m *mortal) connect() net.Conn {
	c, err := dial(m.t, m.bed, m.bed.Server.IPv4, m.port, patience)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { c.Close() })
	m.p.do("accept")
	return c
}

// gone waits for the broker's end.
func (m *mortal) gone() { _, _ = m.first.cmd.Process.Wait() }

// succeed has another broker adopt what the program has.
func (m *mortal) succeed() {
	m.gone()
	realHost(m.t, func(c *Config) { c.Socket, c.PinDir, c.Grace = m.socket, m.pin, time.Hour })
	m.p.do("door", m.socket)
	require.Equal(m.t, "true 4 ", m.p.do("adopt"))
}

// talk exchanges words over a connection that is the kernel's by now.
func (m *mortal) talk(c net.Conn, i int, unread string) {
	m.t.Helper()
	require.NoError(m.t, c.SetDeadline(time.Now().Add(patience)))
	_, err := fmt.Fprint(c, "ping")
	require.NoError(m.t, err)
	require.Equal(m.t, unread+"ping", m.p.do("talk", fmt.Sprint(i), fmt.Sprint(len(unread)+4), "pong"))
	b := make([]byte, 4)
	_, err = c.Read(b)
	require.NoError(m.t, err)
	require.Equal(m.t, "pong", string(b))
}

func TestADeathInAHandOver(t *testing.T) {
	for step, lives := range map[string]string{
		"filled 1": "mine mine", "sent 1": "mine mine", "alive 1": "kernel mine", "filled 2": "kernel mine", "sent 2": "kernel mine", "alive 2": "kernel kernel",
		"none": "kernel kernel",
	} {
		t.Run(step, func(t *testing.T) {
			m := newMortal(t, step)
			one, two := m.connect(), net.Conn(nil)
			fmt.Fprint(one, "unread")
			m.p.do("stow")
			two = m.connect()
			m.p.do("stow")
			require.Equal(t, "4", m.p.do("lease"))
			require.Equal(t, "taken", m.p.do("moveall", "here"))
			require.Equal(t, lives, m.p.do("moveall", "kernel"), "what the sockets say")
			if step == "none" {
				m.first.kill()
			}
			m.succeed()
			if strings.Contains(lives, "mine") {
				require.Equal(t, "kernel kernel", m.p.do("moveall", "kernel"), "by the next broker")
			}
			m.talk(one, 0, "unread")
			m.talk(two, 1, "")
		})
	}
}

// The other way: the program has the socket, and reads itself what the broker had frozen and did not tell it any more.
func TestADeathInATakeOver(t *testing.T) {
	for step, lives := range map[string]string{"frozen 1": "taken", "read 1": "taken", "taken 1": "taken", "answered": "taken"} {
		t.Run(step, func(t *testing.T) {
			m := newMortal(t, step)
			c := m.connect()
			fmt.Fprint(c, "unread")
			m.p.do("stow")
			require.Equal(t, "4", m.p.do("lease"))
			require.Equal(t, lives, m.p.do("moveall", "here"))
			if step == "answered" {
				m.first.kill()
			}
			m.succeed()
			require.Equal(t, "kernel", m.p.do("moveall", "kernel"))
			m.talk(c, 0, "unread")
		})
	}
}

// A connection on its way from one process to another is with one of them, whoever has got how far: with the first unless the second has taken it.
func TestADeathWhileAConnectionIsPassedOn(t *testing.T) {
	for _, c := range []struct{ step, first, second string }{
		{"kept 1", "back", "nothing"},
		{"placed 1", "back", "empty"},
		{"placed 1", "lost", "got"},
	} {
		t.Run(c.step+", "+c.second, func(t *testing.T) {
			m := newMortal(t, c.step)
			conn := m.connect()
			fmt.Fprint(conn, "unread")
			m.p.do("stow")
			require.Equal(t, "4", m.p.do("lease"))
			m.p.do("besides")
			m.p.do("pass")
			m.gone()
			if c.second == "got" {
				require.Equal(t, c.second, m.p.do("got", "second"))
				require.Equal(t, c.first, m.p.do("got", "first"))
			} else {
				require.Equal(t, c.first, m.p.do("got", "first"))
				require.Equal(t, c.second, m.p.do("got", "second"))
			}
			m.talk(conn, 0, "unread")
			m.succeed()
		})
	}
}

// What a program had left when its broker was killed may go to the kernel by the next one.
func TestANewBrokerKnowsWhatWasLeft(t *testing.T) {
	m := newMortal(t, "")
	c := m.connect()
	fmt.Fprint(c, "unread")
	m.p.do("stow")
	require.Equal(t, "4", m.p.do("lease"))
	require.Equal(t, "taken", m.p.do("moveall", "here"))
	m.p.do("forsake")
	require.Equal(t, unix.EPERM.Error(), m.p.do("forge"), "what it had it does not say itself")
	m.first.kill()
	realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = m.socket, m.pin, time.Hour })
	m.p.do("door", m.socket)
	require.Equal(t, "true 4 ", m.p.do("adopt", "unlistened"))
	require.Equal(t, "kernel", m.p.do("moveall", "kernel"))
	m.talk(c, 0, "unread")
}

// As long as such a program has its queues, what its peers send goes there, and nothing new: met the kernel one of their segments, with no socket for it yet,
// it would be answered by a reset. (tests/cabi, TestABrokerThatDiesInAMove: once, at load.)
func TestWhatWasLeftIsLedOn(t *testing.T) {
	m := newMortal(t, "")
	m.connect()
	m.p.do("stow")
	require.Equal(t, "4", m.p.do("lease"))
	require.Equal(t, "taken", m.p.do("moveall", "here"))
	m.p.do("forsake")
	m.first.kill()
	b := realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = m.socket, m.pin, time.Hour })
	m.p.do("door", m.socket)
	require.Equal(t, "true 4 ", m.p.do("adopt", "unlistened"))
	look := func() (adopted bool, led []string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.spaces {
			for _, d := range s.devices {
				found, err := d.prog.(interface {
					Listeners() ([]steer.ListenerEntry, error)
				}).Listeners()
				require.NoError(t, err)
				for e, m := range d.entries {
					led = append(led, fmt.Sprint(e.port, " ", m.flags == steer.NoSYN, " ", len(found)))
				}
				return d.adopted, led
			}
		}
		return false, nil
	}
	bedtest.Until(t, "the wait for others to end", func() bool { adopted, _ := look(); return !adopted })
	_, led := look()
	require.Equal(t, []string{fmt.Sprint(m.port, " true 1")}, led)
	m.p.kill()
	bedtest.Until(t, "nothing left", func() bool { return len(b.Status().Devices) == 0 })
}

// stowed is one of the program's connections: the kernel's by its socket, or its own.
type stowed struct {
	fd   int // -1: it is the program's own
	st   *repair.State
	q    proto.Queued
	lent int // its keeper
}

func (p *player) obeyAtDeath(what string, args []string) (string, error) {
	switch what {
	case "stow":
		p.stowed = append(p.stowed, &stowed{fd: p.conn, lent: -1})
		p.conn = -1
		return "ok", nil
	case "moveall":
		if args[0] == "here" {
			return p.allHere()
		}
		return p.allToKernel()
	case "talk":
		i, _ := strconv.Atoi(args[0])
		n, _ := strconv.Atoi(args[1])
		return p.talk(p.stowed[i].fd, n, args[2])
	case "besides":
		var err error
		if p.second, _, err = proto.Open(p.door, proto.Hello{Program: "besides", Frames: 1024, Keepers: true}, patience); err != nil {
			return "", err
		}
		var g proto.Grant
		fds, err := p.second.Call(proto.OpListen, proto.Listen{}, []int{p.lis}, &g, patience)
		closeAll(fds)
		return "ok", err
	case "pass":
		s := p.stowed[0]
		var ahead []*proto.Packet
		_, err := p.c.CallAhead(proto.OpOrphan, proto.Orphan{Cookie: p.grant.Cookie, Kernel: true, Keep: true}, []int{s.fd}, nil, patience,
			func(p *proto.Packet) { ahead = append(ahead, p) })
		if len(ahead) != 1 || len(ahead[0].FDs) != 1 {
			return "", fmt.Errorf("no keeper came: %w", err)
		}
		unix.Close(s.fd)
		s.fd, s.lent = -1, ahead[0].FDs[0]
		return "ok", nil
	case "got":
		return p.got(args[0])
	case "forge":
		return fmt.Sprint(unix.Fsetxattr(p.state, notes, []byte("[]"), 0)), nil
	}
	return "", fmt.Errorf("what is %q?", what)
}

// got tells what a process has of the connection that was passed on.
func (p *player) got(who string) (string, error) {
	s := p.stowed[0]
	keeper, has, none := s.lent, "back", "lost"
	if who == "second" {
		keeper, has, none = -1, "got", "empty"
		for _, e := range p.second.Rest() {
			if e.Op == proto.OpAccepted {
				keeper = e.FDs[0]
			}
		}
		if keeper < 0 {
			return "nothing", nil
		}
	}
	fds, err := proto.Take(keeper, 0)
	unix.Close(keeper)
	if err != nil {
		return none, nil
	}
	s.fd = fds[0]
	return has, nil
}

func (p *player) talk(fd, n int, answer string) (string, error) {
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		return "", err
	}
	got := make([]byte, 0, n)
	for len(got) < n {
		b := make([]byte, n-len(got))
		k, err := unix.Read(fd, b)
		if err != nil || k == 0 {
			return "", fmt.Errorf("%d octets of %d: %w", len(got), n, err)
		}
		got = append(got, b[:k]...)
	}
	_, err := unix.Write(fd, []byte(answer))
	return string(got), err
}

// allHere makes the kernel's connections the program's own.
func (p *player) allHere() (string, error) {
	var said []string
	for _, s := range p.stowed {
		var t proto.Taken
		fds, err := p.c.Call(proto.OpTakeover, nil, []int{s.fd}, &t, patience)
		st := t.Conn.State
		if err != nil {
			if st, err = repair.Frozen(s.fd); err != nil {
				return "kernel", nil
			}
			if err := repair.Discard(s.fd); err != nil {
				return "", err
			}
		} else if len(fds) == 1 {
			st.RecvData, st.SendData = make([]byte, t.Conn.RecvLen), make([]byte, t.Conn.SendLen)
			_, _ = unix.Pread(fds[0], st.RecvData, t.Conn.RecvOff)
			_, _ = unix.Pread(fds[0], st.SendData, t.Conn.SendOff)
		}
		closeAll(fds)
		unix.Close(s.fd)
		s.fd, s.st = -1, &st
		said = append(said, "taken")
	}
	return said[0], nil
}

// allToKernel hands over the program's own connections, and tells where each is.
func (p *player) allToKernel() (string, error) {
	mem, err := unix.MemfdCreate("queues", unix.MFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(mem)
	var h proto.Handover
	var own []*stowed
	at := int64(0)
	for _, s := range p.stowed {
		if s.st != nil {
			own = append(own, s)
			q := proto.Queued{State: *s.st, RecvOff: at, RecvLen: len(s.st.RecvData)}
			n, err := unix.Pwrite(mem, s.st.RecvData, at)
			if err != nil {
				return "", err
			}
			at += int64(n)
			h.Conns = append(h.Conns, q)
		}
	}
	h.Ahead = true
	var ahead []*proto.Packet
	_, err = p.c.CallAhead(proto.OpHandover, h, []int{mem}, nil, patience, func(p *proto.Packet) { ahead = append(ahead, p) })
	for i, a := range ahead {
		for _, fd := range a.FDs {
			alive, err := repair.Alive(fd)
			if err != nil {
				return "", err
			}
			if !alive {
				if err := repair.Discard(fd); err != nil {
					return "", err
				}
				unix.Close(fd)
				continue
			}
			if err := own[i].st.Finish(fd); err != nil {
				return "", err
			}
			own[i].fd, own[i].st = fd, nil
		}
	}
	if err == nil && len(ahead) != len(own) {
		return "", fmt.Errorf("%d of %d came ahead", len(ahead), len(own))
	}
	var said []string
	for _, s := range p.stowed {
		if s.st == nil {
			said = append(said, "kernel")
		} else {
			said = append(said, "mine")
		}
	}
	return strings.Join(said, " "), nil
}

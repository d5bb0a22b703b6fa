package e2e

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// kernelMade is testdata/kernelmade.py and its peer, which sends everything back.
type kernelMade struct {
	*rig
	p    *testrig.Proc
	in   *os.File
	said string // what it has written by now
	conn string // as `sluice attach` wants it
}

// kernelMade starts it while there is no broker.
func (r *rig) kernelMade(how string, six bool) *kernelMade {
	t := r.T
	t.Helper()
	r.Broker.Stop(syscall.SIGKILL)
	own, peer := r.Server.IPv4, r.Client.IPv4
	if six {
		own, peer = r.Server.IPv6, r.Client.IPv6
	}
	at := netip.AddrPortFrom(peer, 7777)
	if how == "accept" {
		go r.dialsAndSendsBack()
	} else {
		sendsBack(t, r.Client, at)
	}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = write.Close() })
	env := append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"), "SLUICE_LOG=off", "SLUICE_LISTEN=7777", "SLUICE_CONNECT=0.0.0.0/0:7777,[::/0]:7777")
	k := &kernelMade{rig: r, in: write}
	k.p = testrig.StartWithInput(t, r.Server, read, env, "/usr/bin/python3", "testdata/kernelmade.py", peer.String(), how)
	_ = read.Close()
	var port uint16
	testrig.Until(t, "the client to connect", func() bool {
		k.said = k.p.Output()
		_, err := fmt.Sscanf(k.said, "%d\n", &port)
		return err == nil && strings.HasSuffix(k.said, "\n")
	})
	if how == "accept" {
		return k // its peer's port is nobody's business: it is asked for by its process
	}
	k.conn = fmt.Sprintf("%v-%v", netip.AddrPortFrom(own, port), at)
	return k
}

func sendsBack(t *testing.T, n *testbed.Node, at netip.AddrPort) {
	var l net.Listener
	require.NoError(t, n.Do(func() (err error) {
		l, err = net.Listen("tcp", at.String())
		return err
	}))
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(struct{ io.Writer }{c}, c)
				_ = c.Close()
			}()
		}
	}()
}

// dialsAndSendsBack is for a program that accepts.
func (r *rig) dialsAndSendsBack() {
	for end := time.Now().Add(testrig.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var c net.Conn
		err := r.Client.Do(func() (err error) {
			c, err = net.Dial("tcp", netip.AddrPortFrom(r.Server.IPv4, 7777).String())
			return err
		})
		if err == nil {
			_, _ = io.Copy(struct{ io.Writer }{c}, c)
			_ = c.Close()
			return
		}
	}
}

// echoed sends a line and waits for it.
func (k *kernelMade) echoed(line string) {
	k.T.Helper()
	_, err := k.in.WriteString(line + "\n")
	require.NoError(k.T, err)
	k.said += line + "\n"
	testrig.Until(k.T, "the answer "+line, func() bool { return k.p.Output() == k.said })
}

// by is what a command says: how many it moved, and why not.
func (k *kernelMade) by(verb, which string) (out, why string) {
	out, why, _ = testrig.Try(k.Server, nil, testrig.Built(k.T, "sluice"), verb, which, "--socket", k.Socket())
	return strings.TrimSpace(out), why
}

// engineThere waits until the program has found the broker that there is now.
func (k *kernelMade) engineThere() {
	k.T.Helper()
	k.StartBroker()
	testrig.Until(k.T, "the program to ask again", func() bool {
		_, why := k.by("attach", fmt.Sprint(k.p.Pid()))
		return !strings.Contains(why, "no program here has it")
	})
}

func (k *kernelMade) end() {
	k.T.Helper()
	_ = k.in.Close()
	require.NoError(k.T, k.p.Wait(testrig.Patience))
	require.Equal(k.T, k.said, k.p.Output())
}

// Connections that a program made by the kernel's connect, before there was any engine, are taken when somebody asks, and go to and fro.
func TestAttachOfTheKernelsConnections(t *testing.T) {
	for _, c := range []struct {
		how string
		six bool
	}{{how: "turns"}, {how: "turns", six: true}, {how: "select"}, {how: "poll"}, {how: "epoll"}, {how: "accept"}} {
		t.Run(fmt.Sprintf("%s six=%v", c.how, c.six), func(t *testing.T) {
			r := newRig(t, testbed.Config{Queues: 2})
			k := r.kernelMade(c.how, c.six)
			k.echoed("by the kernel")
			k.StartBroker()
			testrig.Until(t, "the connection to be taken", func() bool {
				out, _ := k.by("attach", fmt.Sprint(k.p.Pid()))
				return out == "1 moved, 0 left"
			})
			k.echoed("by the engine")
			k.echoed(strings.Repeat("much ", 2000))
			for i, which := range []string{cmp.Or(k.conn, fmt.Sprint(k.p.Pid())), fmt.Sprint(k.p.Pid())} {
				out, why := k.by("detach", which)
				require.Equal(t, "1 moved, 0 left", out, why)
				k.echoed(fmt.Sprint("by the kernel again ", i))
				out, why = k.by("attach", which)
				require.Equal(t, "1 moved, 0 left", out, why)
				k.echoed(fmt.Sprint("by the engine again ", i))
			}
			k.end()
		})
	}
}

// The first time it is known by its addresses alone.
func TestAttachOfAConnectionThatNobodyKnows(t *testing.T) {
	r := newRig(t, testbed.Config{})
	k := r.kernelMade("turns", false)
	r.StartBroker()
	testrig.Until(t, "the connection to be taken", func() bool {
		out, _ := k.by("attach", k.conn)
		return out == "1 moved, 0 left"
	})
	k.echoed("by the engine")
	_, why := k.by("attach", "192.0.2.1:80-192.0.2.7:40312")
	require.Contains(t, why, "no program here has it")
	k.end()
}

// A call that began before anybody watched can't be called off: the connection stays until it is over.
func TestAttachWaitsForTheKernelsCall(t *testing.T) {
	r := newRig(t, testbed.Config{})
	k := r.kernelMade("thread", false)
	k.engineThere()
	for range 3 {
		out, why := k.by("attach", k.conn)
		require.Equal(t, "0 moved, 1 left", out)
		require.Contains(t, why, "in use by a call")
	}
	k.echoed("and that call is over")
	out, why := k.by("attach", k.conn)
	require.Equal(t, "1 moved, 0 left", out, why)
	k.echoed("by the engine")
	k.end()
}

// What another descriptor or process has, too, or what only the kernel does for it, stays.
func TestAttachLeavesWhatIsTheKernels(t *testing.T) {
	for _, how := range []string{"dup", "fork", "priority"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, testbed.Config{})
			k := r.kernelMade(how, false)
			k.engineThere()
			out, why := k.by("attach", fmt.Sprint(k.p.Pid()))
			require.Equal(t, "0 moved, 1 left", out)
			require.Contains(t, why, "another process's")
			k.echoed("by the kernel")
			k.end()
		})
	}
}

// A real program: redis-cli, its commands by standard input, one before, one after each move.
func TestAttachRedisCLI(t *testing.T) {
	r := newRig(t, testbed.Config{})
	r.Broker.Stop(syscall.SIGKILL)
	testrig.Start(t, r.Client, nil, "redis-server", "--port", "6379", "--protected-mode", "no", "--save", "", "--dir", t.TempDir())
	testrig.Until(t, "redis", func() bool {
		out, _, _ := testrig.Try(r.Server, nil, "redis-cli", "-h", r.Client.IPv4.String(), "ping")
		return out == "PONG\n"
	})
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = write.Close() })
	env := append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"), "SLUICE_LOG=off", "SLUICE_CONNECT=*:6379")
	k := &kernelMade{rig: r, in: write}
	k.p = testrig.StartWithInput(t, r.Server, read, env, "redis-cli", "-h", r.Client.IPv4.String())
	_ = read.Close()
	count := func(n int) {
		_, err := write.WriteString("INCR moves\n")
		require.NoError(t, err)
		k.said += fmt.Sprintln(n)
		testrig.Until(t, "redis' answer", func() bool { return k.p.Output() == k.said })
	}
	count(1)
	r.StartBroker()
	testrig.Until(t, "the connection to be taken", func() bool {
		out, _ := k.by("attach", fmt.Sprint(k.p.Pid()))
		return out == "1 moved, 0 left"
	})
	count(2)
	for i, verb := range []string{"detach", "attach"} {
		out, why := k.by(verb, fmt.Sprint(k.p.Pid()))
		require.Equal(t, "1 moved, 0 left", out, why)
		count(3 + i)
	}
	k.end()
}

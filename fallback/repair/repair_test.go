package repair

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace runs f in a network namespace of its own with loopback up. The thread is never unlocked, so it ends with the goroutine.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: TCP_REPAIR and a network namespace")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
		lo, err := netlink.LinkByName("lo")
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetMTU(lo, 9000))
		require.NoError(t, netlink.LinkSetUp(lo))
		f(t)
	}()
	<-done
}

// pair is a connection over loopback; near is the side that moves.
type pair struct {
	t         *testing.T
	near, far int
}

func connected(t *testing.T, ip string) *pair {
	t.Helper()
	near, far := pairOf(t, ip)
	p := &pair{t, near, far}
	t.Cleanup(func() { unix.Close(p.near); unix.Close(p.far) })
	return p
}

func pairOf(t testing.TB, ip string) (near, far int) {
	t.Helper()
	a := netip.MustParseAddr(ip)
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	l, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(l)
	require.NoError(t, unix.Bind(l, sockaddr(netip.AddrPortFrom(a, 0), family)))
	require.NoError(t, unix.Listen(l, 1))
	sa, err := unix.Getsockname(l)
	require.NoError(t, err)
	far, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Connect(far, sa))
	near, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	return near, far
}

// injector is one for the calling thread's namespace.
func injector(t testing.TB) *Injector {
	t.Helper()
	i, err := NewInjector()
	require.NoError(t, err)
	t.Cleanup(i.Close)
	return i
}

// move takes the near side out of the kernel and back into it.
func (p *pair) move() State {
	p.t.Helper()
	s, err := FromKernel(p.near)
	require.NoError(p.t, err)
	require.NoError(p.t, Discard(p.near))
	unix.Close(p.near)
	p.near, err = ToKernel(s, injector(p.t))
	require.NoError(p.t, err)
	return s
}

func (p *pair) state(fd int) int {
	i, err := getInfo(fd)
	require.NoError(p.t, err)
	return i.state
}

func (p *pair) until(what string, f func() bool) {
	p.t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s (near %d, far %d)", what, p.state(p.near), p.state(p.far))
		}
	}
}

// read reads n bytes, or to the end with n < 0.
func (p *pair) read(fd, n int) []byte {
	p.t.Helper()
	var got []byte
	buf := make([]byte, 1<<16)
	p.until(fmt.Sprintf("%d bytes", n), func() bool {
		for n < 0 || len(got) < n {
			k, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				return false
			}
			require.NoError(p.t, err)
			if k == 0 {
				require.Less(p.t, n, 0, "end after %d bytes", len(got))
				return true
			}
			got = append(got, buf[:k]...)
		}
		return true
	})
	return got
}

// write writes what goes into the socket without blocking.
func (p *pair) write(fd int, b []byte) int {
	p.t.Helper()
	n := 0
	for n < len(b) {
		k, err := unix.SendmsgN(fd, b[n:], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		require.NoError(p.t, err)
		n += k
	}
	return n
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7+i>>9) + seed
	}
	return b
}

// both exchanges bytes in both directions.
func (p *pair) both() {
	p.t.Helper()
	for _, d := range [][2]int{{p.near, p.far}, {p.far, p.near}} {
		b := pattern(10000, 3)
		require.Equal(p.t, len(b), p.write(d[0], b))
		require.True(p.t, bytes.Equal(b, p.read(d[1], len(b))))
	}
}

func TestEmptyQueues(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		inNamespace(t, func(t *testing.T) {
			p := connected(t, ip)
			require.NoError(t, unix.SetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
			require.NoError(t, unix.SetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 77))
			before, err := getInfo(p.near)
			require.NoError(t, err)
			for range 5 {
				p.both()
				s := p.move()
				require.True(t, s.SACK && s.Timestamps && s.WScale)
			}
			p.both()
			after, err := getInfo(p.near)
			require.NoError(t, err)
			before.srtt, after.srtt = 0, 0
			require.Equal(t, before, after)
			for opt, want := range map[int]int{unix.TCP_NODELAY: 1, unix.TCP_KEEPIDLE: 77} {
				v, err := unix.GetsockoptInt(p.near, unix.IPPROTO_TCP, opt)
				require.NoError(t, err)
				require.Equal(t, want, v)
			}
		})
	}
}

func TestMSSIsWholeAtOnce(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		mss, err := unix.GetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		require.NoError(t, err)
		p.move()
		again, err := unix.GetsockoptInt(p.near, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		require.NoError(t, err)
		require.Greater(t, mss, 8000)
		require.Equal(t, mss, again)
	})
}

func TestUnreadDataMovesAlong(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		b := pattern(3<<20, 1)
		n := p.write(p.far, b)
		require.Greater(t, n, 100000)
		s := p.move()
		require.NotEmpty(t, s.RecvData)
		require.True(t, bytes.Equal(b[:n], p.read(p.near, n)))
		p.both()
	})
}

func TestUnackedAndUnsentDataMoveAlong(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "127.0.0.1")
		p.both()
		require.NoError(t, lock(p.far), "the far side loses what comes")
		b := pattern(3<<20, 2)
		n := p.write(p.near, b)
		s, err := FromKernel(p.near)
		require.NoError(t, err)
		require.Greater(t, s.SndNxt-s.SndUna, uint32(1000), "sent and not acknowledged")
		require.Greater(t, uint32(len(s.SendData)), s.SndNxt-s.SndUna, "and some not sent")
		require.NoError(t, s.Thaw(p.near))
		p.move()
		require.NoError(t, unlock(p.far))
		require.True(t, bytes.Equal(b[:n], p.read(p.far, n)))
		p.both()
	})
}

func TestThawGoesOn(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		p := connected(t, "::1")
		p.write(p.far, []byte("abc"))
		s, err := FromKernel(p.near)
		require.NoError(t, err)
		require.NoError(t, s.Thaw(p.near))
		require.Equal(t, "abc", string(p.read(p.near, 3)))
		p.both()
	})
}

// Each state: how the pair gets there, and what must still work after the move.
func TestHalfClosedStates(t *testing.T) {
	shut := func(t *testing.T, fd int) { require.NoError(t, unix.Shutdown(fd, unix.SHUT_WR)) }
	for _, c := range []struct {
		name  string
		state int
		ip    string
		begin func(t *testing.T, p *pair)
		end   func(t *testing.T, p *pair)
	}{
		{"CLOSE_WAIT", CloseWait, "127.0.0.1", func(t *testing.T, p *pair) {
			p.write(p.far, []byte("last words"))
			shut(t, p.far)
			p.until("FIN", func() bool { return p.state(p.near) == CloseWait })
		}, func(t *testing.T, p *pair) {
			require.Equal(t, "last words", string(p.read(p.near, -1)))
			p.write(p.near, []byte("reply"))
			shut(t, p.near)
			require.Equal(t, "reply", string(p.read(p.far, -1)))
		}},
		{"CLOSE_WAIT over IPv6", CloseWait, "::1", func(t *testing.T, p *pair) {
			shut(t, p.far)
			p.until("FIN", func() bool { return p.state(p.near) == CloseWait })
		}, func(t *testing.T, p *pair) {
			require.Empty(t, p.read(p.near, -1))
			shut(t, p.near)
			require.Empty(t, p.read(p.far, -1))
		}},
		{"FIN_WAIT1", FinWait1, "127.0.0.1", func(t *testing.T, p *pair) {
			require.NoError(t, lock(p.far))
			p.write(p.near, []byte("tail"))
			shut(t, p.near)
		}, func(t *testing.T, p *pair) {
			require.NoError(t, unlock(p.far))
			require.Equal(t, "tail", string(p.read(p.far, -1)))
			p.write(p.far, []byte("answer"))
			require.Equal(t, "answer", string(p.read(p.near, 6)))
		}},
		{"FIN_WAIT1 behind unsent data", FinWait1, "127.0.0.1", func(t *testing.T, p *pair) {
			require.NoError(t, lock(p.far))
			require.Greater(t, p.write(p.near, pattern(2<<20, 0)), 100000)
			shut(t, p.near)
		}, func(t *testing.T, p *pair) {
			require.NoError(t, unlock(p.far))
			b := p.read(p.far, -1)
			require.True(t, bytes.Equal(pattern(len(b), 0), b))
			require.Greater(t, len(b), 100000)
		}},
		{"FIN_WAIT2", FinWait2, "127.0.0.1", func(t *testing.T, p *pair) {
			shut(t, p.near)
			p.until("ACK of FIN", func() bool { return p.state(p.near) == FinWait2 })
		}, func(t *testing.T, p *pair) {
			p.write(p.far, []byte("still here"))
			require.Equal(t, "still here", string(p.read(p.near, 10)))
			shut(t, p.far)
			require.Empty(t, p.read(p.near, -1))
		}},
		{"FIN_WAIT2 over IPv6", FinWait2, "::1", func(t *testing.T, p *pair) {
			shut(t, p.near)
			p.until("ACK of FIN", func() bool { return p.state(p.near) == FinWait2 })
		}, func(t *testing.T, p *pair) {
			p.write(p.far, []byte("still here"))
			require.Equal(t, "still here", string(p.read(p.near, 10)))
		}},
		{"LAST_ACK", LastAck, "127.0.0.1", func(t *testing.T, p *pair) {
			shut(t, p.far)
			p.until("FIN", func() bool { return p.state(p.near) == CloseWait })
			require.NoError(t, lock(p.far))
			p.write(p.near, []byte("bye"))
			shut(t, p.near)
		}, func(t *testing.T, p *pair) {
			require.NoError(t, unlock(p.far))
			require.Equal(t, "bye", string(p.read(p.far, -1)))
			p.until("its end", func() bool { return p.state(p.near) == 7 })
		}},
		{"CLOSING", Closing, "127.0.0.1", func(t *testing.T, p *pair) {
			require.NoError(t, lock(p.far))
			shut(t, p.near)
			shut(t, p.far)
			p.until("the other FIN", func() bool { return p.state(p.near) == Closing })
		}, func(t *testing.T, p *pair) {
			require.NoError(t, unlock(p.far))
			p.until("its end", func() bool { return p.state(p.near) == 7 })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T) {
				p := connected(t, c.ip)
				p.both()
				c.begin(t, p)
				require.Equal(t, c.state, p.state(p.near), "before")
				s := p.move()
				require.Equal(t, c.state, s.State)
				require.Equal(t, c.state, p.state(p.near), "after")
				c.end(t, p)
			})
		})
	}
}

func TestWhatCannotMove(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(l)
		_, err = FromKernel(l)
		require.Error(t, err)
		good := State{
			Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("127.0.0.1:4000"), State: Established, MSS: 1460,
			RcvWnd: 65535, SndWnd: 65535,
		}
		for why, change := range map[string]func(*State){
			"state":     func(s *State) { s.State = 6 },
			"addresses": func(s *State) { s.Remote = netip.MustParseAddrPort("[::1]:4000") },
			"do not":    func(s *State) { s.SndNxt = s.SndUna + 1 },
			"window":    func(s *State) { s.SndWScale = 15 },
		} {
			s := good
			change(&s)
			_, err := ToKernel(s, injector(t))
			require.ErrorContains(t, err, why)
		}
		fd, err := ToKernel(good, injector(t))
		require.NoError(t, err)
		defer unix.Close(fd)
		_, err = ToKernel(good, injector(t))
		require.ErrorIs(t, err, unix.EADDRNOTAVAIL, "the kernel has that connection")
		require.NoError(t, enter(fd))
	})
}

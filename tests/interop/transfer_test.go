package interop

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/ustack/usock"
)

const size = 20 << 20

// exchange is the kernel's end: it sends size bytes and a FIN and reads as many, both at the same time.
func exchange(c *net.TCPConn, data []byte) error {
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		if err == nil {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	h := sha256.New()
	n, err := io.Copy(h, c)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if [32]byte(h.Sum(nil)) != sha(data) {
		return fmt.Errorf("%d bytes came, not those that were sent", n)
	}
	return <-sent
}

func (r *rig) run(s func() *usock.Socket, data []byte, kernel func() error) {
	v := &serve{source: data, buf: make([]byte, 256<<10), sum: sha256.New()}
	h := v.sum.(interface{ Sum([]byte) []byte })
	var failed error
	r.await("both ends are done", func() error { return kernel() }, func() {
		if v.s == nil {
			v.s = s()
		}
		if v.s != nil && failed == nil {
			failed = v.turn(r.now())
		}
	})
	require.NoError(r.t, failed)
	r.until("the end of the kernel's stream", func() bool {
		failed = v.turn(r.now())
		return failed != nil || v.eof
	})
	require.NoError(r.t, failed)
	require.Equal(r.t, sha(data), [32]byte(h.Sum(nil)))
	v.s.Close(r.now())
	r.until("the connection is over", func() bool { return r.stack.Conns() == 0 })
}

// cells of the tables below: each moves size bytes both ways at the same time.
var cells = []struct {
	mtu  int
	v6   bool
	loss float64
	size int
}{
	{1500, false, 0, size}, {1500, true, 0, size}, {1280, true, 0, size / 4}, {576, false, 0, size / 8}, {3000, false, 0, size},
	{1500, false, 0.01, size / 8}, {1500, true, 0.05, size / 32}, {9000, false, 0, size}, {9000, true, 0.01, size / 4},
}

func each(t *testing.T, f func(t *testing.T, r *rig, to netip.Addr, data []byte)) {
	for _, c := range cells {
		t.Run(fmt.Sprintf("mtu=%d,v6=%v,loss=%v", c.mtu, c.v6, c.loss), func(t *testing.T) {
			r := newRig(t, testbed.Config{Queues: 2, MTU: max(c.mtu, 1280)}, c.loss)
			r.mtu = min(r.mtu, c.mtu)
			server, client := r.bed.Server.IPv4, r.bed.Client.IPv4
			if c.v6 {
				server, client = r.bed.Server.IPv6, r.bed.Client.IPv6
			}
			to := server
			if strings.Contains(t.Name(), "Server") {
				to = client
			}
			f(t, r, to, random(c.size))
			require.Zero(t, r.stack.Counters().TCPInCsumErrors)
			t.Logf("%+v", *r.stack.Host().SendStats())
		})
	}
}

// TestKernelClient: the kernel connects, and both sides send at once.
func TestKernelClient(t *testing.T) {
	each(t, func(t *testing.T, r *rig, to netip.Addr, data []byte) {
		l, err := r.stack.Listen(r.now(), netip.AddrPortFrom(anyOf(to), port), 16)
		require.NoError(t, err)
		accept := func() *usock.Socket {
			s, err := l.Accept(r.now())
			if err != nil {
				return nil
			}
			return s
		}
		r.run(accept, data, func() error {
			c, err := net.Dial("tcp", netip.AddrPortFrom(to, port).String())
			if err != nil {
				return err
			}
			return exchange(c.(*net.TCPConn), data)
		})
	})
}

// TestKernelServer: our stack connects.
func TestKernelServer(t *testing.T) {
	each(t, func(t *testing.T, r *rig, to netip.Addr, data []byte) {
		var l net.Listener
		require.NoError(t, r.bed.Client.Do(func() (err error) {
			l, err = net.Listen("tcp", netip.AddrPortFrom(to, 9000).String())
			return err
		}))
		defer l.Close()
		s, err := r.stack.Connect(r.now(), netip.AddrPortFrom(anyOf(to), port), netip.AddrPortFrom(to, 9000))
		require.NoError(t, err)
		r.run(func() *usock.Socket { return s }, data, func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			return exchange(c.(*net.TCPConn), data)
		})
	})
}

func anyOf(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

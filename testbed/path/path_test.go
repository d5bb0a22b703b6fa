package path_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/testbed/path"
)

// dial is a socket to a server that sends back what it gets.
func dial(t *testing.T, b *testbed.Bed) (c net.Conn) {
	var s net.PacketConn
	require.NoError(t, b.Server.Do(func() (err error) {
		s, err = net.ListenPacket("udp", b.Server.IPv4.String()+":0")
		return err
	}))
	t.Cleanup(func() { s.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := s.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = s.WriteTo(buf[:n], from)
		}
	}()
	require.NoError(t, b.Client.Do(func() (err error) {
		c, err = net.Dial("udp", s.LocalAddr().String())
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange sends a datagram and says how long it took to come back; false: it has not within 100 ms.
func exchange(t *testing.T, c net.Conn, i int) (time.Duration, bool) {
	buf := make([]byte, 100)
	start := time.Now()
	_, err := c.Write([]byte{byte(i)})
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(start.Add(100*time.Millisecond)))
	for {
		if _, err := c.Read(buf); err != nil {
			return 0, false
		}
		if buf[0] == byte(i) { // else it is late
			return time.Since(start), true
		}
	}
}

// echo sends n datagrams, one after the other, and says how many came back and the least time one took.
func echo(t *testing.T, b *testbed.Bed, n int) (came int, least time.Duration) {
	c := dial(t, b)
	least = time.Hour
	for i := range n {
		if took, ok := exchange(t, c, i); ok {
			came++
			least = min(least, took)
		}
	}
	return came, least
}

// start is a path that packets go by.
func start(t *testing.T) (*testbed.Bed, *path.Path) {
	b := bedtest.New(t, testbed.Config{Middle: true, Queues: 1})
	p, err := path.Start(b, 1500)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	bedtest.Until(t, "the neighbours know each other", func() bool {
		n, _ := echo(t, b, 1)
		return n == 1
	})
	return b, p
}

// Packets that are sent after Set has returned go by what it set, however busy the path is: TestPath met one that went by the old delay.
func TestSetHolds(t *testing.T) {
	b, p := start(t)
	var noise net.Conn
	require.NoError(t, b.Client.Do(func() (err error) {
		noise, err = net.Dial("udp", net.JoinHostPort(b.Server.IPv4.String(), "9"))
		return err
	}))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := noise.Write([]byte("noise")); errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(20 * time.Microsecond)
		}
	}()
	c := dial(t, b)
	slow := path.Link{Delay: 5 * time.Millisecond}
	for i := range 100 {
		p.Set(path.Link{}, path.Link{}, 1)
		exchange(t, c, 2*i)
		p.Set(slow, slow, 1)
		if took, ok := exchange(t, c, 2*i+1); ok {
			require.GreaterOrEqual(t, took, 10*time.Millisecond)
		}
	}
	require.NoError(t, noise.Close())
	<-ended
}

func TestPath(t *testing.T) {
	b, p := start(t)
	slow := path.Link{Delay: 10 * time.Millisecond}
	p.Set(slow, slow, 1)
	n, least := echo(t, b, 10)
	require.GreaterOrEqual(t, least, 20*time.Millisecond)
	require.Positive(t, n)
	p.Set(path.Link{Loss: 1}, path.Link{}, 1)
	n, _ = echo(t, b, 2)
	require.Zero(t, n)
	require.GreaterOrEqual(t, p.Counters().Lost, uint64(2))
	rate := path.Link{Rate: 100_000} // 43 and 24 bytes: 5.4 ms
	p.Set(rate, rate, 1)
	_, least = echo(t, b, 5)
	require.GreaterOrEqual(t, least, 10*time.Millisecond)
}

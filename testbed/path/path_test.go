package path_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/testbed/path"
)

// echo sends n datagrams, one after the other, and says how many came back and the least time one took.
func echo(t *testing.T, b *testbed.Bed, n int) (came int, least time.Duration) {
	var s net.PacketConn
	require.NoError(t, b.Server.Do(func() (err error) {
		s, err = net.ListenPacket("udp", b.Server.IPv4.String()+":0")
		return err
	}))
	defer s.Close()
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
	var c net.Conn
	require.NoError(t, b.Client.Do(func() (err error) {
		c, err = net.Dial("udp", s.LocalAddr().String())
		return err
	}))
	defer c.Close()
	least = time.Hour
	buf := make([]byte, 100)
	for i := range n {
		start := time.Now()
		_, err := c.Write([]byte{byte(i)})
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(start.Add(100*time.Millisecond)))
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
			if buf[0] != byte(i) {
				continue // late
			}
			came++
			least = min(least, time.Since(start))
			break

		}
	}
	return came, least
}

func TestPath(t *testing.T) {
	b := bedtest.New(t, testbed.Config{Middle: true, Queues: 1})
	p, err := path.Start(b, 1500)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	bedtest.Until(t, "the neighbours know each other", func() bool {
		n, _ := echo(t, b, 1)
		return n == 1
	})
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

package sim

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/usock"
)

// transfer moves bytes both ways over one connection, closes both ends, and checks that nothing is left.
func transfer(t *testing.T, c config, size int) (took int64) {
	w := newWorld(t, c)
	a, b := w.pair()
	start := w.now
	there, back := w.send(a, b, size), w.send(b, a, size)
	there.random, back.random = c.seed%2 == 1, c.seed%3 == 1
	w.until(600*second, fmt.Sprintf("%d bytes both ways", size), func() bool { return there.over() && back.over() })
	require.NoError(t, there.err, "there")
	require.NoError(t, back.err, "back")
	took = w.now - start
	a.Close(w.now)
	b.Close(w.now)
	w.host[1].Each(func(s *usock.Socket) {
		if s.Listener() != nil {
			s.Close(w.now)
		}
	})
	w.clean()
	return took
}

func TestTransferOverAPerfectWire(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, mtu := range []int{1500, 576, 1280, 3498} {
			if v6 && mtu < 1280 {
				continue
			}
			t.Run(fmt.Sprintf("v6=%v/mtu=%d", v6, mtu), func(t *testing.T) {
				l := Link{Delay: ms / 20}
				took := transfer(t, config{seed: 1, v6: v6, mtu: mtu, link: [2]Link{l, l}}, 1<<20)
				require.Less(t, took, second, "no timer is waited for")
			})
		}
	}
}

func TestHandshakeEchoAndClose(t *testing.T) {
	w := newWorld(t, config{seed: 3})
	a, b := w.pair()
	require.Equal(t, a.Local(), b.Remote())
	require.Equal(t, a.Remote(), b.Local())
	n, err := a.Send(w.now, [][]byte{[]byte("he"), []byte("llo")}, 0)
	require.NoError(t, err)
	require.Equal(t, 5, n)
	buf := make([]byte, 10)
	w.until(second, "the request arrives", func() bool { return b.InQ() == 5 })
	n, _, err = b.Recv(w.now, [][]byte{buf[:3], buf[3:]}, 0)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	_, err = b.Send(w.now, [][]byte{buf[:n]}, 0)
	require.NoError(t, err)
	w.until(second, "the answer arrives", func() bool { return a.InQ() == 5 })
	n, _, err = a.Recv(w.now, [][]byte{buf}, 0)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	a.Close(w.now)
	w.until(second, "the end of the stream arrives", func() bool { return b.Ready()&0x2001 == 0x2001 })
	n, _, err = b.Recv(w.now, [][]byte{buf}, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	b.Close(w.now)
	w.clean()
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TCP_SAVE_SYN on a listener, TCP_SAVED_SYN on what it accepts: the headers of the SYN, once.
func TestSavedSYN(t *testing.T) {
	for how, want := range map[int]string{0: "", 1: "ip tcp", 2: "mac ip tcp"} {
		r := newRig(t)
		r.listen(1)
		require.NoError(t, r.l.SetOption(r.now, solTCP, tcpSaveSYN, optInt(how)))
		s := r.parse("S 0:0(0) win 65535 <mss 1460>")
		s.Head, s.LinkLen = []byte("mac ip tcp"), 4
		r.input(s)
		r.want("S. 0:0(0) ack 1")
		clear(s.Head) // the frame is used again
		r.send(". 1:1(0) ack 1")
		out := make([]byte, 64)
		if how > 0 {
			_, err := r.c.Option(r.now, solTCP, tcpSavedSYN, out[:3])
			require.ErrorIs(t, err, ErrInval, "too small, and still there")
		}
		n, err := r.c.Option(r.now, solTCP, tcpSavedSYN, out)
		require.NoError(t, err)
		require.Equal(t, want, string(out[:n]))
		n, err = r.c.Option(r.now, solTCP, tcpSavedSYN, out)
		require.NoError(t, err)
		require.Zero(t, n)
		require.ErrorIs(t, r.l.SetOption(r.now, solTCP, tcpSaveSYN, optInt(3)), ErrInval)
	}
}

// TCP_INQ: what is left to read; a FIN counts one.
func TestInqHint(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpInq, 1)
	require.Equal(t, 1, r.getopt(solTCP, tcpInq))
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpInq, optInt(2)), ErrInval)
	r.send("P. 1:101(100) ack 1")
	r.read(1, 30)
	require.Equal(t, 70, r.c.InqHint())
	r.read(31, 70)
	require.Zero(t, r.c.InqHint())
	r.send("F. 101:101(0) ack 1")
	require.Equal(t, 1, r.c.InqHint())
}

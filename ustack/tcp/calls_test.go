package tcp

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// What calls tell of a connection beside its octets, as the kernel does: each of these differed once (tests/differ).

func TestQueuesOfAFailedConnection(t *testing.T) {
	r := established(t)
	r.setopt(solTCP, tcpCork, 1)
	mss := r.c.snd.mss
	r.write(mss + 100)
	r.want(fmt.Sprintf(". 1:%d(%d) ack 1", 1+mss, mss))
	r.send("R. 1:1(0) ack 1")
	require.True(t, r.c.Closed())
	require.Equal(t, mss+100, r.c.OutQ(), "write_seq - snd_una stays")
	require.Equal(t, 100, r.c.OutQNSD(), "write_seq - snd_nxt stays")
}

func TestBehindTheUrgentByte(t *testing.T) {
	r := established(t)
	r.send("PU. 1:3(2) ack 1 urg 1")
	require.True(t, r.c.AtMark())
	require.Zero(t, r.c.InQ(), "tcp_inq: urg_seq - copied_seq")
	require.Equal(t, 1, r.c.Ahead())
	r.c.PassMark()
	require.False(t, r.c.AtMark())
	require.Equal(t, 1, r.c.InQ())
	r.read(2, 1)
}

func TestTheUrgentByteAlone(t *testing.T) {
	r := established(t)
	r.send("PU. 1:2(1) ack 1 urg 1")
	require.True(t, r.c.AtMark())
	r.c.PassMark()
	require.False(t, r.c.AtMark(), "tcp_recvmsg: \"++*seq; urg_hole++\" before it looks whether anything is left to copy")
	require.Zero(t, r.c.Ahead())
}

func TestNoUrgentByteOfAFailedConnection(t *testing.T) {
	r := established(t)
	r.send("PU. 1:2(1) ack 1 urg 1")
	r.want(". 1:1(0) ack 2")
	r.send("R. 2:2(0) ack 1")
	_, _, err := r.c.Read(r.now, [][]byte{make([]byte, 1)}, msgOOB)
	require.ErrorIs(t, err, ErrNotConn, "tcp_recv_urg: \"if (sk->sk_state == TCP_CLOSE && !sock_flag(sk, SOCK_DONE)) return -ENOTCONN\"")
}

func TestCongestionInfo(t *testing.T) {
	r := established(t)
	var b [32]byte
	for name, size := range map[string]int{"cubic": 0, "reno": 0, "bbr": 20, "bbr3": 20} {
		require.NoError(t, r.c.SetOption(r.now, solTCP, tcpCongestion, []byte(name)))
		n, err := r.c.Option(r.now, solTCP, tcpCCInfo, b[:])
		require.NoError(t, err)
		require.Equal(t, size, n, name)
	}
}

func TestFastOpenOfAClosedConnection(t *testing.T) {
	r := established(t)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpFastOpen, optInt(0)), ErrInval)
	r.send("R. 1:1(0) ack 1")
	require.NoError(t, r.c.SetOption(r.now, solTCP, tcpFastOpen, optInt(0)), "TCP_FASTOPEN: TCPF_CLOSE | TCPF_LISTEN")
}

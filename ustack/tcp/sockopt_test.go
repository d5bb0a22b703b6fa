package tcp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func optInt(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(int32(v))) }

func (r *rig) setopt(level, name, v int) {
	r.t.Helper()
	require.NoError(r.t, r.c.SetOption(r.now, level, name, optInt(v)))
	r.c.Output(r.now, r)
}

func (r *rig) getopt(level, name int) int {
	r.t.Helper()
	var b [4]byte
	n, err := r.c.Option(r.now, level, name, b[:])
	require.NoError(r.t, err)
	require.Equal(r.t, 4, n)
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

// --- options

func TestOptionsRoundTrip(t *testing.T) {
	r := established(t)
	for _, o := range []struct{ level, name, set, get int }{
		{solTCP, tcpNoDelay, 1, 1}, {solTCP, tcpCork, 1, 1}, {solTCP, tcpKeepIdle, 77, 77}, {solTCP, tcpKeepIntvl, 7, 7},
		{solTCP, tcpKeepCnt, 4, 4}, {solTCP, tcpSynCnt, 3, 3}, {solTCP, tcpLinger2, 30, 30}, {solTCP, tcpLinger2, -1, -1},
		{solTCP, tcpLinger2, 500, 60}, {solTCP, tcpDeferAccept, 5, 7}, {solTCP, tcpUserTimeout, 1500, 1500},
		{solTCP, tcpNotsentLowat, 16384, 16384}, {solSocket, soKeepAlive, 5, 1}, {solSocket, soOOBInline, 1, 1},
		{solSocket, soRcvLowat, 100, 100}, {solSocket, soRcvLowat, 0, 1}, {solSocket, soRcvLowat, 1 << 30, DefaultParams().Rmem[2] / 2}, {solSocket, soSndBuf, 50000, 100000},
		{solSocket, soSndBuf, 1, 4608}, {solSocket, soRcvBuf, 50000, 100000}, {solSocket, soRcvBuf, 1, 2304},
		{solSocket, soRcvBuf, -1, 8388608},
	} {
		r.setopt(o.level, o.name, o.set)
		require.Equal(t, o.get, r.getopt(o.level, o.name), fmt.Sprintf("level %d option %d set to %d", o.level, o.name, o.set))
	}
	for _, o := range []struct{ force, plain, set, get int }{ // beyond rmem_max and wmem_max, and never negative
		{soRcvBufForce, soRcvBuf, 100 << 20, 200 << 20}, {soSndBufForce, soSndBuf, 100 << 20, 200 << 20},
		{soRcvBufForce, soRcvBuf, -1, 2304}, {soSndBufForce, soSndBuf, -1, 4608}, {soRcvBufForce, soRcvBuf, 1<<31 - 1, 1<<31 - 2},
	} {
		r.setopt(solSocket, o.force, o.set)
		require.Equal(t, o.get, r.getopt(solSocket, o.plain), "option %d set to %d", o.force, o.set)
	}
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpKeepIdle, optInt(0)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpKeepCnt, optInt(128)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpMaxSeg, optInt(10)), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, 9999, optInt(1)), ErrNoProtoOpt)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpNoDelay, []byte{1}), ErrInval)
	require.ErrorIs(t, r.c.SetOption(r.now, solTCP, tcpCongestion, []byte("vegas2")), ErrNoEnt)
	require.NoError(t, r.c.SetOption(r.now, solTCP, tcpCongestion, []byte("reno\x00")))
	var b [16]byte
	n, err := r.c.Option(r.now, solTCP, tcpCongestion, b[:])
	require.NoError(t, err)
	require.Equal(t, "reno", string(b[:4]))
	require.Equal(t, 16, n)
}

// TestMaxSegCountsInTheHandshake: "getsockopt" after setting it on a connection is tp->mss_cache, which no later TCP_MAXSEG changes.
func TestMaxSegCountsInTheHandshake(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	require.NoError(t, r.l.SetOption(r.now, solTCP, tcpMaxSeg, optInt(1000)))
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 1 win 65000 <mss 1000>")
	r.send(". 1:1(0) ack 1")
	require.Equal(t, 1000, r.getopt(solTCP, tcpMaxSeg))
	r.setopt(solTCP, tcpMaxSeg, 600)
	require.Equal(t, 1000, r.getopt(solTCP, tcpMaxSeg))
	r.setopt(solTCP, tcpMaxSeg, 0)
	require.Equal(t, 1000, r.getopt(solTCP, tcpMaxSeg))
}

func TestAcceptedInheritsOptions(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	require.NoError(t, r.l.SetOption(r.now, solTCP, tcpNoDelay, optInt(1)))
	require.NoError(t, r.l.SetOption(r.now, solSocket, soKeepAlive, optInt(1)))
	require.NoError(t, r.l.SetOption(r.now, solSocket, soRcvBuf, optInt(20000)))
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 1 win 18980 <mss 1460>")
	r.send(". 1:1(0) ack 1")
	require.Equal(t, 1, r.getopt(solTCP, tcpNoDelay))
	require.Equal(t, 1, r.getopt(solSocket, soKeepAlive))
	require.Equal(t, 40000, r.getopt(solSocket, soRcvBuf))
	require.NotZero(t, r.c.keepAt)
	r.setopt(solTCP, tcpNoDelay, 0)
	require.True(t, r.l.opt.NoDelay, "the listener keeps its own")
}

func TestInfo(t *testing.T) {
	r := established(t, withTS, func(p *Params) { p.WindowScaling = true })
	r.send("P. 1:101(100) ack 1 <ts 110 1>")
	r.write(1000)
	var b [infoLen + 8]byte
	n, err := r.c.Option(r.now, solTCP, tcpInfo, b[:])
	require.NoError(t, err)
	require.Equal(t, infoLen, n)
	u32 := func(at int) int { return int(binary.NativeEndian.Uint32(b[at:])) }
	require.EqualValues(t, Established, b[0])
	require.EqualValues(t, infoTimestamps|infoSACK|infoWScale, b[5])
	require.EqualValues(t, 7|10<<4, b[6])
	require.Equal(t, 1448, u32(16), "snd_mss")
	require.Equal(t, 1, u32(infoUnacked))
	require.Equal(t, 1500, u32(infoPMTU))
	require.Equal(t, 10, u32(80), "snd_cwnd")
	require.EqualValues(t, 100, binary.NativeEndian.Uint64(b[128:]), "bytes_received")
	require.EqualValues(t, 1000, binary.NativeEndian.Uint64(b[200:]), "bytes_sent")
}

package tcp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dialFast is sendto(2) with MSG_FASTOPEN of n bytes; it says how many the SYN took.
func (r *rig) dialFast(n int, o *Options) int {
	r.t.Helper()
	c, took, err := DialFast(r.now, r.h, r.flow, Path{r.mtu}, o, [][]byte{pattern(0, n)}, 0)
	require.NoError(r.t, err)
	r.c, r.issKnown = c, false
	c.Owner = r
	c.Output(r.now, r)
	return took
}

// clientRig has been given a cookie and an MSS by its server.
func clientRig(t *testing.T, mss uint16, change ...func(*Params)) *rig {
	r := newRig(t, change...)
	require.Zero(t, r.dialFast(1000, nil), "the program writes again when it is connected")
	r.want("S 0:0(0) <mss 1460,sackOK,ws 10,FO>")
	r.peerMSS(mss, ",FO abcd1234")
	r.want(". 1:1(0) ack 1")
	require.Equal(t, Established, r.c.State())
	require.EqualValues(t, fastNoCookie<<1, r.infoBytes()[7]&6)
	return r
}

func (r *rig) peerMSS(mss uint16, more string) {
	s := r.parse("S. 0:0(0) ack 1 win 5840 <mss 1460,sackOK,ws 6" + more + ">")
	s.Opts.MSS = mss
	r.input(s)
}

const withCookie = " <mss 1460,sackOK,ws 10,FO abcd1234>"

// nonblocking-sendto-over-mss.pkt of packetdrill: one segment's worth, with the whole option space left free.
func TestDataLeavesWithSYN(t *testing.T) {
	r := clientRig(t, 1460)
	require.Equal(t, 1420, r.dialFast(5000, nil))
	r.want("S 0:1420(1420)" + withCookie)
	r.wantIdle()
	require.Zero(t, r.c.Poll()&pollOut)
	r.send("S. 0:0(0) ack 1421 win 60000 <mss 1460,sackOK,ws 6>")
	r.want(". 1421:1421(0) ack 1")
	r.wantIdle()
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenActive)
	require.NotZero(t, r.infoBytes()[5]&infoSYNData)
	require.EqualValues(t, 1, r.c.snd.rate.delivered)
	r.write(3580)
	require.Len(t, r.out, 3)
}

// nonblocking-sendto-over-mss.pkt: the SYN's data is no small segment in Nagle's sense, though the MSS would allow more.
func TestSYNDataIsNotSmall(t *testing.T) {
	r := clientRig(t, 1460)
	require.Equal(t, 1420, r.dialFast(5000, nil))
	r.want("S 0:1420(1420)" + withCookie)
	r.send("S. 0:0(0) ack 1 win 14600 <mss 1460,sackOK,ws 6>")
	r.want("P. 1:1421(1420) ack 1")
	r.write(3580)
	r.want(". 1421:2881(1460) ack 1")
	r.out = r.out[1:]
	r.want("P. 4341:5001(660) ack 1")
}

// syn-data-mss.pkt: TCP_MAXSEG bounds the SYN's data, too.
func TestMaxSegBoundsSYNData(t *testing.T) {
	r := clientRig(t, 1460)
	o := DefaultOptions()
	o.MaxSeg = 1040
	require.Equal(t, 1000, r.dialFast(2000, &o))
	r.want("S 0:1000(1000) <mss 1040,sackOK,ws 10,FO abcd1234>")
}

// syn-data-icmp-unreach-frag-needed-with-seq.pkt: too big as it was, the SYN goes again at once, without data.
func TestSYNWithDataTooBig(t *testing.T) {
	r := clientRig(t, 1460)
	r.dialFast(1000, nil)
	r.want("S 0:1000(1000)" + withCookie)
	r.c.PathMTU(r.now, 800, r.iss, true)
	r.c.Output(r.now, r)
	r.want("S 0:0(0) <mss 760,sackOK,ws 10>")
	r.send("S. 0:0(0) ack 1 win 14600 <mss 1460,sackOK,ws 6>")
	r.want(". 1:761(760) ack 1")
	r.want("P. 761:1001(240) ack 1")
}

// "Include any data up to the cached server MSS" RFC 7413 §4.2.2: syn-data-mss.pkt.
func TestSYNDataFitsTheCachedMSS(t *testing.T) {
	r := clientRig(t, 940)
	require.Equal(t, 900, r.dialFast(2000, nil))
	r.want("S 0:900(900)" + withCookie)
}

// "The client SHOULD retransmit any unacknowledged data in the first ACK packet": syn-data-only-syn-acked.pkt.
func TestSYNDataNotTaken(t *testing.T) {
	r := clientRig(t, 1460)
	require.Equal(t, 700, r.dialFast(700, nil))
	r.want("S 0:700(700)" + withCookie)
	r.send("S. 0:0(0) ack 1 win 5840 <mss 1040,sackOK,ws 6,FO abcd1234>")
	r.want("P. 1:701(700) ack 1")
	r.wantIdle()
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenActiveFail)
	require.EqualValues(t, 10, r.c.snd.cwnd, "no sign of congestion")
	r.send(". 1:1(0) ack 701")
	require.Zero(t, r.c.OutQ())
	require.Zero(t, r.infoBytes()[5]&infoSYNData)
	require.EqualValues(t, fastNotAcked<<1, r.infoBytes()[7]&6)
	require.Equal(t, 1000, r.dialFast(5000, nil), "the new MSS is remembered")
}

// syn-data-partial-or-over-ack.pkt: the rest is repeated in segments of the MSS that the SYN-ACK told.
func TestSYNDataPartlyTaken(t *testing.T) {
	r := clientRig(t, 1460)
	require.Equal(t, 1420, r.dialFast(4000, nil))
	r.want("S 0:1420(1420)" + withCookie)
	r.send("S. 0:0(0) ack 101 win 65535 <mss 1000,sackOK,ws 6>")
	r.want(". 101:1101(1000) ack 1")
	r.want("P. 1101:1421(320) ack 1")
	r.wantIdle()
	r.send(". 1:1(0) ack 1421")
	require.Zero(t, r.c.OutQ())
	r.dialFast(100, nil)
	r.want("S 0:100(100)" + withCookie)
	r.send("S. 0:0(0) ack 100101 win 5840 <mss 1040,FO badc00ce>")
	r.want("R 100101:100101(0)")
	require.Equal(t, SynSent, r.c.State())
}

// "when the SYN timer fires, the client SHOULD retransmit a SYN packet without data and Fast Open options" RFC 7413
// §4.2.2: syn-data-timeout.pkt.
func TestLostSYNWithData(t *testing.T) {
	r := clientRig(t, 1460)
	require.Equal(t, 1000, r.dialFast(1000, nil))
	r.want("S 0:1000(1000)" + withCookie)
	r.advance(time.Second)
	r.want("S 0:0(0) <mss 1460,sackOK,ws 10>")
	r.wantIdle()
	r.send("S. 0:0(0) ack 1 win 5840 <mss 1460,sackOK,ws 6>")
	r.want("P. 1:1001(1000) ack 1")
	r.wantIdle()
	require.EqualValues(t, fastRepeated<<1, r.infoBytes()[7]&6)
	r.send(". 1:1(0) ack 1001")
	require.Zero(t, r.c.OutQ())
}

// synack-data.pkt: "The server MAY include data in the SYN-ACK packet".
func TestDataOnSYNACK(t *testing.T) {
	r := clientRig(t, 1460)
	r.dialFast(100, nil)
	r.want("S 0:100(100)" + withCookie)
	r.send("S. 0:50(50) ack 101 win 5840 <mss 1460,sackOK,ws 6>")
	r.want(". 101:101(0) ack 51")
	r.readFast(50)
	r.dialFast(100, nil)
	r.want("S 0:100(100)" + withCookie)
	r.send("SF. 0:50(50) ack 101 win 5840 <mss 1460,sackOK,ws 6>")
	r.want(". 101:101(0) ack 52")
	require.Equal(t, CloseWait, r.c.State())
	r.readFast(50)
	r.readEOF()
}

// simultaneous-fast-open.pkt: data on crossing SYNs is not taken, but the connection comes about.
func TestFastOpensCross(t *testing.T) {
	r := clientRig(t, 1460)
	r.dialFast(1000, nil)
	r.want("S 0:1000(1000)" + withCookie)
	r.send("S 1234:1734(500) win 14600 <mss 1040,sackOK,ws 6,FO 87654321>")
	r.want("S. 0:0(0) ack 1235 <mss 1460,sackOK,ws 10>")
	r.send("S. 1234:1234(0) ack 1001 win 14600 <mss 940,sackOK,ws 6>")
	require.Equal(t, Established, r.c.State())
	require.Zero(t, r.c.OutQ())
}

// nonblocking-connect-bypass.pkt: connect(2) with TCP_FASTOPEN_CONNECT sends nothing while a cookie is at hand.
func TestFastConnectWaitsForData(t *testing.T) {
	r := clientRig(t, 1460)
	o := DefaultOptions()
	o.FastConnect = true
	r.c, r.issKnown = nil, false
	r.dial(&o)
	r.wantIdle()
	require.True(t, r.c.Deferred())
	require.Zero(t, r.c.Deadline())
	require.EqualValues(t, pollOut|pollWrNrm, r.c.Poll())
	r.readErr(ErrAgain)
	r.write(500)
	r.want("S 0:500(500)" + withCookie)
	require.False(t, r.c.Deferred())
	require.Zero(t, r.c.Poll()&pollOut)
	_, err := r.c.Write(r.now, [][]byte{{1}}, msgFastOpen)
	require.ErrorIs(t, err, ErrAlready)
	r.send("S. 0:0(0) ack 501 win 5840 <mss 1460,sackOK,ws 6>")
	r.want(". 501:501(0) ack 1")
	_, err = r.c.Write(r.now, [][]byte{{1}}, msgFastOpen)
	require.ErrorIs(t, err, ErrIsConn)

	r.flow.Remote = netip.MustParseAddrPort("10.0.0.3:4000") // of whom nothing is known
	r.c, r.issKnown = nil, false
	r.dial(&o)
	r.want("S 0:0(0) <mss 1460,sackOK,ws 10,FO>")
}

// cookie-less-sendto.pkt: TCP_FASTOPEN_NO_COOKIE and bit 2 of tcp_fastopen send data on a bare SYN; a cookie that nobody
// asked for is not kept.
func TestFastOpenWithoutCookie(t *testing.T) {
	r := newRig(t)
	o := DefaultOptions()
	o.FastNoCookie = true
	require.Equal(t, 1420, r.dialFast(5000, &o))
	r.want("S 0:1420(1420) <mss 1460,sackOK,ws 10>")
	r.send("S. 0:0(0) ack 1421 win 5840 <mss 1460,sackOK,ws 6,FO abcd1234>")
	r.want(". 1421:1421(0) ack 1")
	require.Zero(t, r.dialFast(100, nil))
	r.want("S 0:0(0) <mss 1460,sackOK,ws 10,FO>")
	r = newRig(t, func(p *Params) { p.FastOpen |= fastClientBold })
	require.Equal(t, 100, r.dialFast(100, nil))
	r.want("S 0:100(100) <mss 1460,sackOK,ws 10>")
}

// fallback-exp-opt.pkt: a server that gives no cookie is asked in the old form next time, and then in the new one again.
func TestCookieIsAskedForInTheOldForm(t *testing.T) {
	r := newRig(t)
	for _, ask := range []string{"FO", "FOEXP", "FO"} {
		r.dialFast(0, nil)
		r.want("S 0:0(0) <mss 1460,sackOK,ws 10," + ask + ">")
		r.peerMSS(1460, "")
		r.want(". 1:1(0) ack 1")
	}
	r.dialFast(0, nil)
	r.out = nil
	r.peerMSS(1460, ",FOEXP 1234")
	r.out = nil
	require.Equal(t, 100, r.dialFast(100, nil))
	r.want("S 0:100(100) <mss 1460,sackOK,ws 10,FOEXP 1234>")
}

func TestFastOpenForbidden(t *testing.T) {
	r := newRig(t, func(p *Params) { p.FastOpen = 0 })
	_, _, err := DialFast(r.now, r.h, r.flow, Path{r.mtu}, nil, nil, 0)
	require.ErrorIs(t, err, ErrNotSupp)
}

func TestFastCacheIsBounded(t *testing.T) {
	var m fastCache
	at := func(i int) fastPair {
		return fastPair{netip.MustParseAddr("10.0.0.1"), netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}
	}
	for i := range 3000 {
		m.set(at(i), 1460, fastCookie{n: 4}, 0)
	}
	require.Len(t, m.at, fastKept)
	require.Nil(t, m.find(at(3000-fastKept-1)), "the oldest are forgotten")
	require.NotNil(t, m.find(at(3000-fastKept)))
	require.NotNil(t, m.find(at(2999)))
}

// blocking-sendto.pkt: "Save one ACK. Data will be ready after several ticks, if write_pending is set."
func TestWaitingWriteCarriesTheACK(t *testing.T) {
	r := clientRig(t, 1460)
	c, took, err := DialFast(r.now, r.h, r.flow, Path{r.mtu}, nil, [][]byte{pattern(0, 3000)}, MsgWaits)
	require.NoError(t, err)
	require.Equal(t, 1420, took)
	r.c, r.issKnown = c, false
	c.Owner = r
	c.Output(r.now, r)
	r.want("S 0:1420(1420)" + withCookie)
	r.send("S. 0:0(0) ack 1421 win 5840 <mss 1460,sackOK,ws 6>")
	r.wantIdle()
	r.write(100)
	r.want("P. 1421:1521(100) ack 1")
	r.wantIdle()

	c, _, err = DialFast(r.now, r.h, r.flow, Path{r.mtu}, nil, [][]byte{pattern(0, 3000)}, MsgWaits)
	require.NoError(t, err)
	r.c, r.issKnown = c, false
	c.Output(r.now, r)
	r.want("S 0:1420(1420)" + withCookie)
	r.send("S. 0:0(0) ack 1421 win 5840 <mss 1460,sackOK,ws 6>")
	r.advance(200 * time.Millisecond)
	r.want(". 1421:1421(0) ack 1") // the data did not come
}

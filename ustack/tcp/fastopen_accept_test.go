package tcp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

// fastKey is tcp_fastopen_key as /proc/sys writes it: four little-endian words.
func fastKey(t *testing.T, text string) (k FastOpenKeys) {
	require.NoError(t, k.Parse(text))
	return k
}

// The first two are those of packetdrill's tests of the kernel (fastopen/server/simple1.pkt, basic-rw.pkt).
func TestCookieIsTheKernels(t *testing.T) {
	for _, c := range []struct{ key, client, server, want string }{
		{"a0bf63f7-ed803d81-cd641d30-cebc4a90", "10.248.0.2", "192.168.0.2", "00abaaabe8e954c2"},
		{"a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4", "192.0.2.1", "192.168.0.1", "3021b9d889017eeb"},
		{"a0bf63f7-ed803d81-cd641d30-cebc4a90", "10.248.0.3", "192.168.0.3", "76d2c1c530f51f79"},
	} {
		k := fastKey(t, c.key)
		f := Flow{Local: netip.AddrPortFrom(netip.MustParseAddr(c.server), 80), Remote: netip.AddrPortFrom(netip.MustParseAddr(c.client), 9)}
		got := k.Key[0].fastCookie(&f)
		require.Equal(t, c.want, hex.EncodeToString(got.val[:got.n]))
	}
}

const aKey = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"

// fastRig is a listener that takes data on a SYN, and the cookie of its one client.
func fastRig(t *testing.T, change ...func(*Params)) (*rig, string) {
	key := func(p *Params) { p.FastOpen, p.FastOpenKeys = fastClient|fastServer, fastKey(t, aKey) }
	r := newRig(t, append([]func(*Params){key}, change...)...)
	r.listen(5)
	r.setFast(3)
	c := r.h.fastKeys().Key[0].fastCookie(&r.flow)
	return r, hex.EncodeToString(c.val[:c.n])
}

func (r *rig) setFast(n uint32) {
	require.NoError(r.t, r.l.SetOption(r.now, solTCP, tcpFastOpen, binary.NativeEndian.AppendUint32(nil, n)))
}

// "The client sends a SYN with a Fast Open option with an empty cookie field to request a cookie. The server generates a
// cookie and sends it through the Fast Open option of a SYN-ACK packet." RFC 7413 §3
func TestCookieIsGiven(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:0(0) win 65535 <mss 1460,sackOK,FO>")
	r.want("S. 0:0(0) ack 1 <mss 1460,sackOK,FO " + cookie + ">")
	r.advance(time.Second)
	r.want("S. 0:0(0) ack 1 <mss 1460,sackOK>") // "neither data nor Fast Open options"
	r.send(". 1:1(0) ack 1")
	require.Equal(t, Established, r.c.State())
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenCookieReqd)
	require.Zero(t, r.l.fast.n)
}

func TestCookieInTheOldForm(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:0(0) win 65535 <mss 1460,FOEXP>")
	r.want("S. 0:0(0) ack 1 <mss 1460,FOEXP " + cookie + ">")
}

// The data is there before the handshake is over, and the answer leaves before it, too.
func TestDataOnSYNIsDelivered(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:100(100) win 4000 <mss 1460,sackOK,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 101 <mss 1460,sackOK>")
	r.wantIdle()
	require.Equal(t, SynReceived, r.c.State())
	require.Equal(t, r.c, r.l.Accept(r.now))
	require.EqualValues(t, pollIn|pollRdNrm|pollOut|pollWrNrm, r.c.Poll())
	r.readFast(100)
	r.write(2000)
	r.want(". 1:1461(1460) ack 101")
	r.want("P. 1461:2001(540) ack 101")
	_, err := r.c.Freeze(r.now)
	require.ErrorIs(t, err, ErrCannotMove)
	require.Equal(t, 1, r.l.fast.n)
	r.send(". 101:101(0) ack 1 win 60000")
	require.Equal(t, Established, r.c.State())
	require.Zero(t, r.l.fast.n)
	r.send(". 101:101(0) ack 2001")
	r.wantIdle()
	require.Zero(t, r.c.OutQ())
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenPassive)
	require.NotZero(t, r.infoBytes()[5]&infoSYNData)
}

// readFast reads n bytes that came with the SYN: the stream begins one number later than the segment says.
func (r *rig) readFast(n int) {
	r.t.Helper()
	b := make([]byte, n)
	got, _, err := r.c.Read(r.now, [][]byte{b}, 0)
	require.NoError(r.t, err)
	require.Equal(r.t, n, got)
	require.Equal(r.t, pattern(0, n), b)
}

func (r *rig) infoBytes() []byte {
	b := make([]byte, infoLen)
	_, err := r.c.Option(r.now, solTCP, tcpInfo, b)
	require.NoError(r.t, err)
	return b
}

// "Otherwise, the server drops the data and sends a SYN-ACK acknowledging only the SYN sequence number." RFC 7413 §3
func TestWrongCookieIsReplaced(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:100(100) win 65535 <mss 1460,FO 0123456789abcdef>")
	r.want("S. 0:0(0) ack 1 <mss 1460,FO " + cookie + ">")
	r.send("P. 1:101(100) ack 1")
	r.want(". 1:1(0) ack 101")
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenPassiveFail)
}

// A pure SYN with data is no Fast Open: pure-syn-data.pkt.
func TestDataWithoutCookie(t *testing.T) {
	r, _ := fastRig(t)
	r.send("S 0:40(40) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 1 <mss 1460>")
	r, _ = fastRig(t, func(p *Params) { p.FastOpen |= fastServerBold })
	r.send("S 0:40(40) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 41 <mss 1460>")
	r, cookie := fastRig(t, func(p *Params) { p.FastOpen = fastClient })
	r.send("S 0:40(40) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 1 <mss 1460>")
	r, cookie = fastRig(t)
	r.setFast(0)
	r.send("S 0:40(40) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 1 <mss 1460>")
	r, cookie = fastRig(t, func(p *Params) { p.FastOpen |= fastEachListener })
	r.setFast(0) // the host's setting gives it the backlog
	r.send("S 0:40(40) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 41 <mss 1460>")
}

// A cookie made with the key before is good, and replaced.
func TestOldKeyIsGoodStill(t *testing.T) {
	r, cookie := fastRig(t)
	old := r.h.fastKeys().Key[0]
	require.NoError(t, r.l.SetOption(r.now, solTCP, tcpFastKey, append(make([]byte, 16), old[:]...)))
	now := r.l.fastKeys().Key[0].fastCookie(&r.flow)
	r.send("S 0:100(100) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 101 <mss 1460,FO " + hex.EncodeToString(now.val[:now.n]) + ">")
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenPassiveAltKey)
	out := make([]byte, 64)
	n, err := r.l.Option(r.now, solTCP, tcpFastKey, out)
	require.NoError(t, err)
	require.Equal(t, 32, n)
	require.ErrorIs(t, r.l.SetOption(r.now, solTCP, tcpFastKey, make([]byte, 17)), ErrInval)
}

// The SYN-ACK has the timer; data that left before its ACK is not repeated until then.
func TestSYNACKOfFastOpenIsRepeated(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:100(100) win 65535 <mss 1460,sackOK,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 101")
	r.l.Accept(r.now)
	r.write(10)
	r.want("P. 1:11(10) ack 101")
	r.advance(time.Second)
	r.want("S. 0:0(0) ack 101 <mss 1460,sackOK>")
	r.advance(2 * time.Second)
	r.want("S. 0:0(0) ack 101")
	r.wantIdle()
	r.send(". 101:101(0) ack 1 win 1000")
	r.want("P. 1:11(10) ack 101") // deemed lost by then, as in Linux
	r.send(". 101:101(0) ack 11")
	require.Zero(t, r.c.OutQ())
	r.wantIdle()
}

func TestSYNACKOfFastOpenGivesUp(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:100(100) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 101")
	r.l.Accept(r.now)
	r.advance(10 * time.Minute)
	require.Len(t, r.out, 6, "one more than tcp_synack_retries")
	require.Equal(t, Closed, r.c.State())
	r.readFast(100)
	r.readErr(ErrTimeout)
	require.Zero(t, r.l.fast.n)
}

// The SYN again, without data: its answer got lost.
func TestSYNOfFastOpenAgain(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:100(100) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 101")
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 101")
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.wantIdle() // not more often than twice a second
	r.send("S 5000:5000(0) win 65535 <mss 1460>")
	require.Equal(t, wire.RST|wire.ACK, r.out[0].h.Flags) // nonsense, but no reason to end the connection
	r.out = nil
	r.send(". 101:101(0) ack 1")
	require.Equal(t, Established, r.c.State())
}

// "Wait for 60secs before removing a req that has triggered RST": the peer that the SYN claimed to be from knew nothing.
func TestResetOfFastOpenKeepsItsPlace(t *testing.T) {
	r, cookie := fastRig(t)
	r.setFast(1)
	syn := "S 0:100(100) win 65535 <mss 1460,FO " + cookie + ">"
	r.send(syn)
	r.want("S. 0:0(0) ack 101")
	require.NotNil(t, r.l.Accept(r.now))
	r.send("R. 101:101(0) ack 1")
	require.Equal(t, Closed, r.c.State())
	r.readFast(100)
	r.readErr(ErrReset)
	r.c, r.issKnown = nil, false
	r.send(syn)
	r.want("S. 0:0(0) ack 1 <mss 1460>")
	require.EqualValues(t, 1, r.h.MIB.TCPFastOpenListenOverflow)
	r.send("R 1:1(0)")
	r.wantIdle()
	r.advance(time.Minute)
	r.issKnown = false
	r.send(syn)
	r.want("S. 0:0(0) ack 101")
}

// Closing before the handshake is over: unread data resets, else the FIN leaves at once (fin-close-socket.pkt).
func TestCloseOfHalfFast(t *testing.T) {
	r, cookie := fastRig(t)
	syn := "S 0:100(100) win 65535 <mss 1460,FO " + cookie + ">"
	r.send(syn)
	r.want("S. 0:0(0) ack 101")
	r.close()
	r.want("R. 1:1(0) ack 101")
	require.Zero(t, r.l.fast.n)
	r, _ = fastRig(t)
	r.send(syn)
	r.want("S. 0:0(0) ack 101")
	r.readFast(100)
	r.close()
	r.want("F. 1:1(0) ack 101")
	require.Equal(t, FinWait1, r.c.State())
	_, err := r.c.Freeze(r.now)
	require.ErrorIs(t, err, ErrCannotMove)
	r.send(". 101:101(0) ack 1")
	require.Equal(t, FinWait1, r.c.State())
	require.Zero(t, r.l.fast.n)
	r.send("F. 101:101(0) ack 2")
	r.want(". 2:2(0) ack 102")
}

// An ICMP error ends it while nobody has accepted it; the program reads the data and then the error (icmp-before-accept.pkt).
func TestIcmpEndsHalfFast(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:10(10) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 11")
	r.c.SoftError(r.now, ErrHostUnreach, r.iss, false)
	require.Equal(t, r.c, r.l.Accept(r.now))
	r.readFast(10)
	r.readErr(ErrHostUnreach)
	_, err := r.c.Write(r.now, [][]byte{{1}}, 0)
	require.ErrorIs(t, err, ErrPipe)
}

func TestListenerClosesHalfFast(t *testing.T) {
	r, cookie := fastRig(t)
	r.send("S 0:10(10) win 65535 <mss 1460,FO " + cookie + ">")
	r.want("S. 0:0(0) ack 11")
	r.l.Close(r.now, r)
	r.want("R. 1:1(0) ack 11")
}

func TestFastOpenOptions(t *testing.T) {
	word := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	r, _ := fastRig(t)
	require.ErrorIs(t, r.l.SetOption(r.now, solTCP, tcpFastOpen, word(1<<32-1)), ErrInval)
	require.NoError(t, r.l.SetOption(r.now, solTCP, tcpFastOpen, word(1<<30)))
	out := make([]byte, 4)
	_, err := r.l.Option(r.now, solTCP, tcpFastOpen, out)
	require.NoError(t, err)
	require.EqualValues(t, 4096, binary.NativeEndian.Uint32(out), "bounded by somaxconn")
	require.ErrorIs(t, r.l.SetOption(r.now, solTCP, tcpFastNoCookie, word(2)), ErrInval)
	e := established(t)
	for _, name := range []int{tcpFastOpen, tcpFastConnect, tcpFastNoCookie} {
		require.ErrorIs(t, e.c.SetOption(e.now, solTCP, name, word(1)), ErrInval)
	}
	var k FastOpenKeys
	require.NoError(t, k.Parse(aKey+","+aKey))
	require.Equal(t, 2, k.N)
	for _, bad := range []string{"", "1-2-3", "00000000-00000000-00000000-00000000", "x1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"} {
		require.Error(t, new(FastOpenKeys).Parse(bad), bad)
	}
}

// icmp-baseline.pkt: a half-open connection that a router has no way for is forgotten.
func TestIcmpForgetsHalfOpen(t *testing.T) {
	r := newRig(t)
	r.listen(1)
	r.send("S 0:0(0) win 65535 <mss 1460>")
	r.want("S. 0:0(0) ack 1")
	r.l.Forget(&r.flow, r.iss.Add(1))
	require.Equal(t, 1, r.l.HalfOpens(), "quotes another number")
	r.l.Forget(&r.flow, r.iss)
	require.Zero(t, r.l.HalfOpens())
	r.send(". 1:1(0) ack 1")
	r.want("R 1:1(0)")
}

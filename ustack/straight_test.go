package ustack

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/ip"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
	"github.com/sluice-net/sluice/ustack/wire"
)

// tapNIC keeps what was sent last.
type tapNIC struct {
	*crowdNIC
	last []byte
	sum  uint16 // where the device's sum begins, 0: none
}

func (n *tapNIC) Send(f, at, size uint32) bool {
	n.last, n.sum = append(n.last[:0], n.mem[f*efvi.FrameSize+at:][:size]...), 0
	return true
}

func (n *tapNIC) SendSum(f, at, size uint32, start, _ uint16) bool {
	n.Send(f, at, size)
	n.sum = start
	return true
}

// Whatever packet goes straight is the one that its headers one by one would have made, and counts as that.
func TestStraightIsApart(t *testing.T) {
	k := newCrowd(t, 1, 1)
	nic := &tapNIC{crowdNIC: &k.crowdNIC}
	p := k.ports[0]
	p.vi, p.sums = nic, nic
	r := rand.New(rand.NewPCG(7, 8))
	straight := 0
	for range 20000 {
		o := somePacket(k, r)
		if !o.straight() {
			o.buf.Release()
			continue
		}
		straight++
		apart := o
		before := k.ip.Counters
		require.True(t, k.sendApart(&apart))
		want, sum, counted := append([]byte(nil), nic.last...), nic.sum, k.ip.Counters
		clear(o.buf.Frame()[:o.off])
		k.ip.Counters = before
		require.True(t, k.sendStraight(&o))
		require.Equal(t, want, nic.last)
		require.Equal(t, sum, nic.sum)
		require.Equal(t, counted, k.ip.Counters)
		o.buf.Release()
	}
	require.Greater(t, straight, 5000)
}

func somePacket(k *crowd, r *rand.Rand) packetOut {
	f := flow("10.0.0.1:80", "10.1.0.7:1024")
	if r.IntN(8) == 0 {
		f = flow("[2001:db8::1]:80", "[2001:db8::2]:1024")
	}
	o := packetOut{flow: &f, port: k.ports[0], off: pbuf.Headroom, n: r.IntN(1500), leave: r.IntN(2) == 0, buf: k.pool.GetReserved()}
	payload := o.buf.Frame()[o.off : o.off+o.n]
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	o.sum = wire.Sum(payload)
	o.ip = &usock.IPOptions{TOS: uint8(r.Uint32()) &^ 3, TTL: int16(r.IntN(257) - 1), MTUDiscover: uint8(r.IntN(3))}
	o.hop = &Hop{Ifindex: 1, Resolved: true, MAC: [6]byte{2, byte(r.Uint32())}}
	o.head = &tcp.Header{
		Flags: wire.Flags(r.Uint32()), Seq: tcp.Seq(r.Uint32()), Ack: tcp.Seq(r.Uint32()), Wnd: uint16(r.Uint32()), Urg: uint16(r.IntN(2)), ECT: r.IntN(2) == 0,
	}
	opts := &o.head.Opts
	opts.Set = []wire.OptSet{0, wire.HasTimestamp, wire.HasTimestamp, wire.HasMSS | wire.HasTimestamp}[r.IntN(4)]
	opts.TSVal, opts.TSEcr, opts.NSACK = r.Uint32(), r.Uint32(), uint8(max(0, r.IntN(6)-4))
	return o
}

// The key of what comes in is that of the connection which it is for.
func TestKeyOfAPacketIsThatOfItsFlow(t *testing.T) {
	for _, f := range []tcp.Flow{flow("192.0.2.1:80", "198.51.100.254:65535"), flow("[2001:db8::1]:80", "[2001:db8::ffff:2]:1024")} {
		b := make([]byte, wire.IPv6Len+wire.TCPLen)
		in := wire.TCPFields{SrcPort: f.Remote.Port(), DstPort: f.Local.Port()}
		if n := ip.HeaderLen(f.Local.Addr()); n == wire.IPv4Len {
			b = b[:n+wire.TCPLen]
			(&wire.IPv4Fields{TTL: 1, Src: f.Remote.Addr(), Dst: f.Local.Addr(), PayloadLen: wire.TCPLen}).Put(b)
		} else {
			(&wire.IPv6Fields{HopLimit: 1, Src: f.Remote.Addr(), Dst: f.Local.Addr(), PayloadLen: wire.TCPLen}).Put(b)
		}
		l4 := b[ip.HeaderLen(f.Local.Addr()):]
		in.Put(l4)
		pkt := ip.Packet{Raw: b, Payload: l4}
		k := keyIn(&pkt, l4)
		require.Equal(t, keyOf(f), k)
		require.True(t, k.is(&f))
		for _, other := range []tcp.Flow{
			{Local: f.Local, Remote: netip.AddrPortFrom(f.Remote.Addr(), 1)}, {Local: f.Remote, Remote: f.Local},
			{Local: f.Local, Remote: netip.AddrPortFrom(f.Remote.Addr().Next(), f.Remote.Port())},
			{Local: netip.AddrPortFrom(f.Local.Addr().Next(), f.Local.Port()), Remote: f.Remote},
		} {
			require.False(t, k.is(&other))
		}
	}
}

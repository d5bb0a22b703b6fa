package ustack

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/wire"
)

// segment puts n bytes, ahead bytes beyond what was sent so far, into a receive ring, and lets the stack take them.
func (k *crowd) segment(c *crowdConn, ahead uint32, n int) {
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+wire.TCPLen+n)
	(&wire.EthernetFields{Dst: crowdMAC, Type: wire.TypeIPv4}).Put(b)
	(&wire.IPv4Fields{TTL: 64, Proto: wire.ProtoTCP, DF: true, Src: netip.AddrFrom4(c.remote), Dst: crowdLocal, PayloadLen: wire.TCPLen + n}).Put(b[14:])
	(&wire.TCPFields{SrcPort: c.port, DstPort: 80, Seq: c.seq + ahead, Ack: c.ack, Flags: wire.ACK | wire.PSH, Window: 8192}).Put(b[34:])
	binary.BigEndian.PutUint16(b[50:], wire.PseudoSum(b[26:34], wire.ProtoTCP, wire.TCPLen+n))
	at := k.posted[0]
	k.posted = k.posted[:copy(k.posted, k.posted[1:])]
	copy(k.mem[int(at)*efvi.FrameSize+256:], b)
	k.events = append(k.events, efvi.Event{Kind: efvi.EventRX, Frame: at, Off: 256, Len: uint32(len(b))})
	k.Stack.Poll(k.now, 64)
}

// TestUnreadDataLeavesFrames: peers that send more than programs read take half of the frames at most, out of order three
// eighths; what is left lets the others receive, read, send and acknowledge.
func TestUnreadDataLeavesFrames(t *testing.T) {
	for name, c := range map[string]struct {
		gap  uint32
		most int // eighths
	}{"in order": {0, 4}, "out of order": {1000, 3}} {
		t.Run(name, func(t *testing.T) {
			k := newCrowd(t, 101, 101)
			all := k.pool.Len()
			for n := range uint32(30) {
				for i := range 100 {
					k.segment(&k.active[i], c.gap+n*1000, 1000)
				}
			}
			require.Positive(t, k.cnt.RxPayloadDrops)
			require.LessOrEqual(t, k.pool.Received(), all*c.most/8+1)
			require.Greater(t, k.pool.Received(), all*(c.most-1)/8, "and they do take as much")
			require.Greater(t, k.pool.Available(), all/4)
			last := &k.active[100]
			for range 3 { // its program reads
				k.segment(last, 0, 1000)
				last.seq += 1000
				k.iov[0] = make([]byte, 2000)
				n, _, err := last.s.Recv(k.now, k.iov[:], 0)
				require.NoError(t, err)
				require.Equal(t, 1000, n)
			}
			k.iov[0] = k.buf[:]
			n, err := last.s.Send(k.now, k.iov[:], 0)
			require.NoError(t, err)
			require.Equal(t, len(k.buf), n)
		})
	}
}

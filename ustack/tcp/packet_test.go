package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a write takes, in packets as Linux counts them; notsent-lowat-setsockopt.pkt, blocking-write.pkt, timestamping/partial.pkt.
func TestPacketsOfTheSendBuffer(t *testing.T) {
	for _, x := range []struct {
		name                      string
		window, size, lowat, want int
	}{
		{"half of the window is a packet; one more is begun while there is room", 32792, 50000, 0, 58000},
		{"what leaves of the first packet makes room in it", 32792, 1 << 20, 4000, 26000},
		{"a packet of one segment", 2000, 4608, 0, 3000},
		{"the overhead counts: 896 bytes", 2000, 2*(1000+packetCharge) + 1, 0, 3000},
		{"and no more fits", 2000, 2 * (1000 + packetCharge), 0, 2000},
	} {
		r := newSendRig(t, 1000)
		r.s.wnd, r.s.maxWnd = uint32(x.window), uint32(x.window)
		r.s.buf.size, r.s.buf.locked, r.s.buf.lowat = x.size, true, int32(x.lowat)
		require.Equal(t, x.want, r.s.write(r.now, make([]byte, 100000), 0), x.name)
		r.check()
	}
}

package tcp

import (
	"encoding/binary"
	"math"
)

// pathModel is what an algorithm knows of the path: bandwidth in segments a second, delay in ns (0 unknown), the present gains.
type pathModel interface {
	path() (bw float64, rtt int64, pacing, window float64)
}

func (b *bbr) path() (bw float64, rtt int64, pacing, window float64) {
	pacing, window = b.gains()
	return b.bw.get(), b.minRTT, pacing, window
}

func (b *bbr3) path() (bw float64, rtt int64, pacing, window float64) {
	g := bbr3Gains[b.state]
	return b.most(), b.minRTT, g.pacing, g.window
}

// ccInfo is TCP_CC_INFO: struct tcp_bbr_info for the algorithms that have a model (gains in 1/256), nothing for the others, as in the kernel.
func (c *Conn) ccInfo(out []byte) int {
	m, ok := c.snd.cc.(pathModel)
	if !ok {
		return 0
	}
	bw, rtt, pacing, window := m.path()
	us := uint32(math.MaxUint32)
	if rtt > 0 {
		us = uint32(min(rtt/1000, math.MaxUint32))
	}
	var b [20]byte
	binary.NativeEndian.PutUint64(b[:], uint64(bw*float64(c.snd.mss)))
	put32(b[:], 8, us, uint32(pacing*256), uint32(window*256))
	return copy(out, b[:])
}

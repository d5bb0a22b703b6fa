package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// tcp(7), TCP_MAXSEG: "if this option is set before connection establishment, it also changes the MSS value announced to the other end in the
// initial packet". And we send no more in a segment, though the peer would take it.
func TestMaxSegBoundsBothWays(t *testing.T) {
	r := newRig(t, func(p *Params) { p.WindowScaling = false })
	o := DefaultOptions()
	o.MaxSeg = 700
	r.dial(&o)
	r.want("S 0:0(0) <mss 700,sackOK>")
	r.send("S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK>")
	r.want(". 1:1(0) ack 1")
	r.write(1000)
	r.want(". 1:701(700) ack 1")
	r.send(". 1:1(0) ack 701 win 65535")
	r.want("P. 701:1001(300) ack 1")
	r.wantIdle()
}

// tcp(7), TCP_WINDOW_CLAMP: "Bound the size of the advertised window to this value". What was told already is not taken back.
func TestWindowClampBoundsTheWindow(t *testing.T) {
	r := established(t)
	require.NoError(t, r.c.SetOption(r.now, solTCP, tcpWindowClamp, optInt(5000)))
	edge := r.c.rcvWup.Add(int(r.c.rcvWnd))
	for r.c.rcvNxt.LT(edge.Add(-2000)) {
		r.sendData(1000)
		r.readAll()
	}
	r.out = nil
	for range 4 {
		r.sendData(1000)
		r.readAll()
	}
	require.LessOrEqual(t, r.c.rcvWnd, uint32(5000))
	require.Positive(t, r.c.rcvWnd)
	require.True(t, edge.LEQ(r.c.rcvWup.Add(int(r.c.rcvWnd))), "the edge never goes back")
}

// sendData is n bytes of the peer's, in order.
func (r *rig) sendData(n int) {
	s := r.parse(". 1:1(0) ack 1 win 65535")
	s.Seq = r.c.rcvNxt
	r.payload(s, n)
	r.input(s)
}

func (r *rig) readAll() {
	b := make([]byte, 1<<16)
	_, _, err := r.c.Read(r.now, [][]byte{b}, 0)
	require.NoError(r.t, err)
	r.c.Output(r.now, r)
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func wnd(n uint32) func(*ackIn) { return func(in *ackIn) { in.wnd = n } }

// RFC 9293 §3.8.6.1: probes with growing intervals, without end while the peer answers; data as soon as the window opens.
func TestZeroWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	r.after(100 * ms)
	r.write(2000)
	r.flush()
	r.after(100 * ms)
	r.ackWith(3001, wnd(0))
	r.write(1000)
	r.sent()
	want := r.s.rto()
	for range 30 {
		o := r.timer(want)
		require.NoError(t, o.err)
		require.True(t, o.send)
		s, ok := r.s.next(r.now)
		require.True(t, ok && s.probe)
		require.Equal(t, 3000, r.rel(s.seq), "SND.UNA - 1, no data")
		require.Nil(t, s.buf)
		r.s.sent(r.now, &s)
		r.sent()
		want = min(2*want, 120*1000*ms)
		r.ackWith(3001, wnd(0))
	}
	r.ackWith(3001, wnd(5000))
	r.sent(3001, 1000)
	require.Zero(t, r.s.probe.back)
}

func TestProbesWithoutAnswerGiveUp(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.setPeerWindow(0, 0)
	r.write(1000)
	r.sent()
	for range 15 {
		r.now = r.s.deadline()
		require.NoError(t, r.s.onTimer(r.now).err)
		r.flush()
	}
	r.now = r.s.deadline()
	require.ErrorIs(t, r.s.onTimer(r.now).err, ErrTimeout, "tcp_retries2 probes")
}

// A window smaller than the next segment: nothing leaves at first (SWS avoidance), then as much as fits.
func TestSmallWindowIsFilledByTheTimer(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.setPeerWindow(0, 300)
	r.s.maxWnd = 1 << 20
	r.write(1000)
	r.sent()
	r.timer(1000 * ms)
	r.sent(1, 300)
	r.after(ms)
	r.ackWith(301, wnd(5000))
	r.sent(301, 700)
}

// A window that stays smaller than a segment: each part takes one timeout, not twice the last one's.
func TestSmallWindowKeepsItsPace(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.setPeerWindow(0, 300)
	r.s.maxWnd = 1 << 20
	r.write(4000)
	r.sent()
	r.timer(1000 * ms)
	require.Equal(t, 1, r.flush())
	for r.rel(r.s.nxt) < 4000 {
		r.after(10 * ms)
		r.ackWith(r.rel(r.s.nxt), wnd(300))
		if r.flush() == 0 {
			r.timer(max(r.s.rto(), r.s.rtoMin()))
			require.Equal(t, 1, r.flush())
		}
	}
}

// The FIN takes a number of the window like a byte: a window that holds the last bytes only lets those go.
func TestFINWaitsForTheWindow(t *testing.T) {
	for _, room := range []int{1, 700, 999, 1000} {
		r := newSendRig(t, 1000)
		r.s.setPeerWindow(0, uint32(room))
		r.s.maxWnd = 1 << 20
		r.write(1000)
		r.s.queueFIN(r.now)
		r.sent()
		r.timer(1000 * ms)
		r.sent(1, room)
		r.after(ms)
		r.ackWith(1+room, wnd(5000))
		r.sent(1+room, 1001-room)
	}
}

// A peer whose largest window is below two segments gets segments of half of it, so that two fit.
func TestHalfOfASmallWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.s.wnd, r.s.maxWnd = 1200, 1200
	r.write(1500)
	r.sent(1, 600, 601, 600)
}

// Window taken back: the first segment serves as a probe, others wait. RFC 9293 §3.8.6 "MUST be robust".
func TestShrunkWindow(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(4000)
	r.flush()
	r.after(10 * ms)
	r.ackWith(1001, func(in *ackIn) { in.wnd = 500 })
	for range 3 {
		r.now = r.s.deadline()
		require.NoError(t, r.s.onTimer(r.now).err)
		for {
			s, ok := r.s.next(r.now)
			if !ok {
				break
			}
			require.LessOrEqual(t, s.end().Sub(rigISS), 1501)
			r.s.sent(r.now, &s)
		}
	}
}

// A closed window with data out: retransmission goes on as long as the peer answers.
func TestZeroWindowWithDataOutNeverGivesUp(t *testing.T) {
	r := newSendRig(t, 1000)
	r.write(1000)
	r.flush()
	for range 60 {
		r.now = r.s.deadline()
		require.NoError(t, r.s.onTimer(r.now).err)
		r.flush()
		r.after(10 * ms)
		r.ackWith(1, wnd(0))
	}
}

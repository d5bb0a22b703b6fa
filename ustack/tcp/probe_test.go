package tcp

import (
	"testing"
	"time"

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

// What no device takes is tried each half second, as packetdrill's user-timeout-probe.pkt has it of the kernel, and leaves when there is room.
func TestDeviceThatTakesNothing(t *testing.T) {
	traces(t, Established, []trace{
		{name: "TCP_USER_TIMEOUT ends it", script: `
			setsockopt TCP_USER_TIMEOUT 3000
			write 24
			> P. 1:25(24) ack 1
			+.1 < . 1:1(0) ack 25
			device full
			write 24
			+3.25 write 24
			+.1 error ETIMEDOUT
			state CLOSED`},
		{name: "the time begins with the first attempt of the timer, after one timeout", script: `
			setsockopt TCP_USER_TIMEOUT 1200
			device full
			write 24
			+1.499 state ESTABLISHED
			+.001 error ETIMEDOUT`},
		{name: "a zero window that nobody is asked about", script: `
			setsockopt TCP_USER_TIMEOUT 1200
			< . 1:1(0) ack 1 win 0
			device full
			write 24
			+1.499 state ESTABLISHED
			+.001 error ETIMEDOUT`},
		{name: "without it nothing ends it, and it leaves as soon as there is room", script: `
			device full
			write 24
			+100 write 24
			device empty
			> P. 1:49(48) ack 1
			< . 1:1(0) ack 49
			unsent 0`},
		{name: "an answer of the peer's begins the time anew", script: `
			setsockopt TCP_USER_TIMEOUT 1200
			device full
			write 24
			+1.4 < . 1:1(0) ack 1
			+1.4 state ESTABLISHED
			+.1 error ETIMEDOUT`},
		{name: "an orphan has the time of eight retransmissions", script: `
			device full
			write 24
			close
			+102.799 state FIN-WAIT-1
			+.001 state CLOSED`},
	})
}

// The half second is not backed off, and counts as a probe each time.
func TestStuckProbesDoNotBackOff(t *testing.T) {
	r := newRig(t)
	r.run(wayTo[Established])
	r.full = true
	_, err := r.c.Write(r.now, [][]byte{make([]byte, 24)}, 0)
	require.NoError(t, err)
	r.c.Output(r.now, r)
	r.advance(300 * time.Millisecond)
	for n := range uint8(40) {
		require.Equal(t, prober{due: true, stuck: true, tries: n + 1, since: r.c.snd.probe.since}, r.c.snd.probe)
		require.Equal(t, r.now+500*ms, r.c.Deadline())
		r.advance(500 * time.Millisecond)
	}
}

// A SYN that no device takes counts as lost after a second: connect(2) ends like one that nobody answers.
func TestSYNThatNoDeviceTakes(t *testing.T) {
	r := newRig(t)
	r.full = true
	r.dial(nil)
	r.c.Output(r.now, r)
	began := r.now
	for r.c.State() == SynSent {
		require.NotZero(t, r.c.Deadline())
		r.now = r.c.Deadline()
		r.c.OnTimer(r.now, r)
		require.Less(t, r.now-began, int64(200e9))
	}
	require.ErrorIs(t, r.c.TakeError(), ErrTimeout)
	require.InDelta(t, 132, float64(r.now-began)/1e9, 2)

	r = newRig(t)
	r.full = true
	r.dial(nil)
	r.c.Output(r.now, r)
	r.advance(500 * time.Millisecond)
	r.full = false
	r.c.Output(r.now, r)
	r.want("S 0:0(0)")
}

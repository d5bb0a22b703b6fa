package tcp

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// batch gives our end segments that came together: Output follows the last.
func (r *rig) batch(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		s := r.parse(text)
		r.c.Input(r.now, s, r)
		if s.Buf != nil {
			s.Buf.Release()
		}
	}
	r.c.Output(r.now, r)
}

// TestBatchRefillsTheWindowBeforeRecovery: ACKs that came in one batch, the last of them telling of a loss, let as much
// leave as one by one: recovery begins with a full window in flight.
func TestBatchRefillsTheWindowBeforeRecovery(t *testing.T) {
	acks := []string{
		". 1:1(0) ack 2921",
		". 1:1(0) ack 2921 <sack 4381:5841>",
		". 1:1(0) ack 2921 <sack 4381:7301>",
		". 1:1(0) ack 2921 <sack 4381:8761>",
	}
	var left [2][]string
	for i := range left {
		r := established(t)
		r.write(58400)
		require.Len(t, r.out, 10, "the initial window")
		r.out = nil
		r.now += 20 * int64(time.Millisecond)
		if i == 0 {
			r.batch(acks...)
		} else {
			for _, a := range acks {
				r.batch(a)
			}
		}
		require.Equal(t, caRecovery, r.c.snd.state)
		for j := range r.out {
			left[i] = append(left[i], r.text(&r.out[j], "P. 1:1(0) ack 1"))
		}
	}
	require.Equal(t, left[1], left[0], "one by one, and in a batch")
	require.Contains(t, left[0][len(left[0])-1], " 2921:4381(1460)", "what was lost, last")
	require.Greater(t, len(left[0]), 5)
}

// TestRetransmissionBehindNewDataIsTheYounger: what a batch lets leave leaves at one time, new data first. The SACK of the new data says
// nothing about the retransmission behind it; that of what leaves behind both does.
func TestRetransmissionBehindNewDataIsTheYounger(t *testing.T) {
	r := established(t)
	r.write(58400)
	r.out = nil
	r.now += 20 * int64(time.Millisecond)
	r.batch(". 1:1(0) ack 2921", ". 1:1(0) ack 2921 <sack 4381:5841>", ". 1:1(0) ack 2921 <sack 4381:7301>", ". 1:1(0) ack 2921 <sack 4381:8761>")
	last := len(r.out) - 1
	require.Equal(t, ". 2921:4381(1460) ack 1", r.text(&r.out[last], ". 1:1(0) ack 1"))
	require.Equal(t, ". 21901:23361(1460) ack 1", r.text(&r.out[last-1], ". 1:1(0) ack 1"), "new data, in the same turn")
	sent := r.c.h.SendStats()
	r.now += 20 * int64(time.Millisecond)
	r.batch(". 1:1(0) ack 2921 <sack 4381:23361>")
	require.Zero(t, sent.LostRetransmit, "SACK of the new data")
	r.batch(". 1:1(0) ack 23361")
	require.EqualValues(t, 1, sent.RetransSegs)
	require.Equal(t, caOpen, r.c.snd.state)
}

// TestTrainAgainBehindNewData: the end of a train that is sent again ends it with PSH, too, behind new data of the same turn.
func TestTrainAgainBehindNewData(t *testing.T) {
	r := established(t)
	r.write(58400)
	r.out = nil
	r.now += 20 * int64(time.Millisecond)
	r.batch(". 1:1(0) ack 4381", ". 1:1(0) ack 4381 <sack 7301:14601>")
	var left []string
	for i := range r.out {
		left = append(left, r.text(&r.out[i], "P. 1:1(0) ack 1"))
	}
	require.Contains(t, left, ". 4381:5841(1460) ack 1")
	require.Contains(t, left, "P. 5841:7301(1460) ack 1")
	require.Greater(t, slices.Index(left, "P. 5841:7301(1460) ack 1"), slices.Index(left, "P. 21901:23361(1460) ack 1"), "behind new data")
}

package ustack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPeersThatNeverReadLeaveFrames: however many connections have data queued that nobody takes, one that has none can send.
func TestPeersThatNeverReadLeaveFrames(t *testing.T) {
	const hogs = 200
	k := newCrowd(t, hogs+1, hogs+1)
	big := [][]byte{make([]byte, 1<<20)}
	for round := range 3 {
		for i := range hogs {
			for {
				if n, err := k.active[i].s.Send(k.now, big, 0); n == 0 || err != nil {
					break
				}
			}
		}
		require.Positive(t, k.pool.Available(), "round %d", round)
		k.now += 1e9
		k.Stack.Poll(k.now, 64)
	}
	last := &k.active[hogs]
	k.iov[0] = k.buf[:]
	before := k.cnt.TxPackets
	n, err := last.s.Send(k.now, k.iov[:], 0)
	require.NoError(t, err)
	require.Equal(t, len(k.buf), n)
	require.Greater(t, k.cnt.TxPackets, before)
}

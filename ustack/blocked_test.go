package ustack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fullNIC takes as many frames as its ring has room for, and counts how often it was asked.
type fullNIC struct {
	*crowdNIC
	room, asked int
}

func (n *fullNIC) Send(f, at, size uint32) bool {
	if n.asked++; n.room == 0 {
		return false
	}
	n.room--
	return n.crowdNIC.Send(f, at, size)
}

// TestRoomForOneIsNotTriedByAll: 2,000 connections wait for a full ring; each frame that leaves lets one send and costs a bounded
// number of attempts, and in the end all have sent.
func TestRoomForOneIsNotTriedByAll(t *testing.T) {
	const conns = 2000
	k := newCrowd(t, conns, conns)
	nic := &fullNIC{crowdNIC: &k.crowdNIC}
	k.SwapVI(1, 0, nic)
	for i := range k.active {
		n, err := k.active[i].s.Send(k.now, [][]byte{k.buf[:100]}, 0)
		require.NoError(t, err)
		require.Equal(t, 100, n)
	}
	require.Equal(t, conns, k.blocked.n())
	k.Stack.Poll(k.now, 64) // routes are new to it: all try
	require.Equal(t, conns, k.blocked.n())
	for sent := 0; sent < conns; sent += 10 {
		nic.room, nic.asked = 10, 0
		k.hasRoom()
		k.Stack.Poll(k.now, 64)
		require.Equal(t, conns-sent-10, k.blocked.n())
		require.LessOrEqual(t, nic.asked, 2*retryBatch)
		for k.NextDeadline() == k.now { // until each was tried
			k.Stack.Poll(k.now, 64)
		}
	}
}

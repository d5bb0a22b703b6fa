package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
)

// history is what the engine wrote of a connection, without times.
func (r *pairRig) history(slot int32) (all []proto.Event) {
	r.t.Helper()
	all, _, err := r.e.plane.state.History(int(slot), nanotime())
	require.NoError(r.t, err)
	for i := range all {
		require.LessOrEqual(r.t, nanotime()-all[i].At, int64(60e9))
		all[i].At = 0
	}
	return all
}

func TestWhatHappenedIsNoted(t *testing.T) {
	r := newPairRig(t)
	peer, h := r.connect(5000)
	s := r.e.tab.at(h).sock
	slot := s.Slot
	want := []proto.Event{{Kind: proto.EventState, To: uint8(tcp.Established)}}
	require.Equal(t, want, r.history(slot))

	until := func(what string, do func(), e proto.Event) {
		t.Helper()
		want = append(want, e)
		require.Eventually(t, func() bool {
			do()
			r.turn()
			return len(r.history(slot)) == len(want)
		}, 15*time.Second, 100*time.Microsecond, what)
		require.Equal(t, want, r.history(slot))
	}
	block := [][]byte{make([]byte, 1<<16)}
	until("a closed window", func() { peer.Send(nanotime(), block, 0) }, proto.Event{Kind: proto.EventOwnWindow, From: 1})
	until("an open one", func() { s.Recv(nanotime(), block, 0) }, proto.Event{Kind: proto.EventOwnWindow, To: 1})
	peer.Shutdown(nanotime(), 1)
	until("the peer's end", func() { s.Recv(nanotime(), block, 0) }, proto.Event{Kind: proto.EventState, From: uint8(tcp.Established), To: uint8(tcp.CloseWait)})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		registry{r.e}.Changed(1, s, 0, 0xffff)
	}))
}

package engine

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMovesLeaveNoLitter: what moves of long queues copied goes back to the host soon, though the collector has no reason to run yet.
func TestMovesLeaveNoLitter(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	collected := func() (n uint32, released uint64) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC, m.HeapReleased
	}
	runtime.GC() // what is in use is known from here on
	var e Engine
	before, _ := collected()
	e.littered(leastLitter - 1)
	time.Sleep(10 * time.Millisecond)
	now, _ := collected()
	require.Equal(t, before, now, "little is not worth it")
	const long = 32 << 20
	queues := make([]byte, long)
	for i := 0; i < len(queues); i += 4096 {
		queues[i] = 1
	}
	runtime.KeepAlive(queues)
	_, held := collected()
	e.littered(long)
	require.Eventually(t, func() bool {
		n, released := collected()
		return n > before && released >= held+24<<20
	}, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, e.litter)
}

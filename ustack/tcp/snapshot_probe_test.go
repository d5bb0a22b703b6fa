package tcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMoveAfterMove: a connection that lost all it had in flight, and does not know its round-trip time, says something soon after it moved.
func TestMoveAfterMove(t *testing.T) {
	r := established(t, withTS)
	r.send(". 1:1(0) ack 1 win 50000 <ts 110 1>")
	r.write(3000)
	s, err := r.c.Freeze(r.now)
	require.NoError(t, err)
	require.NotEmpty(t, s.Unacked)
	s.SRTT, s.SACK = 0, true
	r.c.Forget(r.now)
	r.c.Output(r.now, r)
	for range 3 {
		r.out = nil
		c, err := Adopt(r.now, r.h, s, Path{r.mtu})
		require.NoError(t, err)
		r.c = c
		c.Owner = r
		c.Output(r.now, r)
		r.out = nil
		r.advance(20 * time.Millisecond)
		require.Len(t, r.out, 1, "a probe")
		s, err = c.Freeze(r.now)
		require.NoError(t, err)
		c.Forget(r.now)
		c.Output(r.now, r)
	}
}

package trace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
	"github.com/sluice-net/sluice/efvi/watch"
)

func memory() efvi.Memory { return efvi.Memory{Bytes: make([]byte, 4*efvi.FrameSize)} }

// blocks cuts a file into its blocks, checking the lengths.
func blocks(t *testing.T, b []byte) (kinds []uint32, bodies [][]byte) {
	t.Helper()
	for len(b) > 0 {
		n := binary.LittleEndian.Uint32(b[4:])
		require.Zero(t, n%4)
		require.LessOrEqual(t, int(n), len(b))
		require.Equal(t, n, binary.LittleEndian.Uint32(b[n-4:]), "the length behind is that before")
		kinds = append(kinds, binary.LittleEndian.Uint32(b))
		bodies = append(bodies, b[8:n-4])
		b = b[n:]
	}
	return kinds, bodies
}

func TestBothDirectionsAreWritten(t *testing.T) {
	am, bm := memory(), memory()
	a, b := loop.New(am, bm, loop.Config{Info: efvi.Info{Device: "veth0"}})
	var file bytes.Buffer
	const at = 1_700_000_000_123_456_789
	v := New(a, am, &file, func() int64 { return at })

	copy(am.Frame(0), "out")
	require.True(t, v.Send(0, 0, 3))
	require.NoError(t, v.Flush())
	v.Post([]uint32{1})
	copy(bm.Frame(0), "inbox")
	b.Send(0, 0, 5)
	require.NoError(t, b.Flush())
	var ev [4]efvi.Event
	require.Equal(t, 2, v.Poll(ev[:]))

	kinds, bodies := blocks(t, file.Bytes())
	require.Equal(t, []uint32{blockSection, blockInterface, blockPacket, blockPacket}, kinds)
	require.Contains(t, string(bodies[1]), "veth0")
	for i, want := range []struct {
		data string
		dir  watch.Direction
	}{{"out", watch.Outbound}, {"inbox", watch.Inbound}} {
		body := bodies[2+i]
		high, low := binary.LittleEndian.Uint32(body[4:]), binary.LittleEndian.Uint32(body[8:])
		require.EqualValues(t, at, uint64(high)<<32|uint64(low))
		require.EqualValues(t, len(want.data), binary.LittleEndian.Uint32(body[12:]))
		require.Equal(t, want.data, string(body[20:20+len(want.data)]))
		require.EqualValues(t, want.dir, binary.LittleEndian.Uint32(body[len(body)-8:]), "flags, before the end of options")
	}
	require.NoError(t, v.Err())
}

type broken struct{}

var errBroken = errors.New("disk full")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestErrorEndsTheTraceOnly(t *testing.T) {
	am := memory()
	a, _ := loop.New(am, memory(), loop.Config{})
	v := New(a, am, broken{}, func() int64 { return 1 })
	for range 3 {
		require.True(t, v.Send(0, 0, 60))
		require.NoError(t, v.Flush())
	}
	require.ErrorIs(t, v.Err(), errBroken)
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	x := NewWriter(io.Discard, "veth0")
	b := make([]byte, 1500)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		x.Packet(1, watch.Inbound, b)
		x.Flush()
	}))
}

package mirror

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/loop"
	"github.com/sluice-net/sluice/efvi/watch"
)

func ring(t testing.TB, size, snap int) (*Writer, *Reader) {
	t.Helper()
	fd, err := New(size, snap)
	require.NoError(t, err)
	defer unix.Close(fd)
	w, err := OpenWriter(fd)
	require.NoError(t, err)
	r, err := OpenReader(fd)
	require.NoError(t, err)
	t.Cleanup(func() { w.Close(); r.Close() })
	return w, r
}

// Packets come out as they went in, in order, around the ring's end many times; those that found no room are counted, all others are there.
func TestPacketsComeOutAsTheyWentIn(t *testing.T) {
	w, r := ring(t, 1<<16, 1<<16)
	rnd := rand.New(rand.NewPCG(1, 2))
	var in [][]byte
	dropped := uint64(0)
	var p Packet
	for i := range 20000 {
		b := make([]byte, rnd.IntN(1600))
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		before := r.Dropped()
		w.Put(int64(i), watch.Inbound, 3, 1, b)
		if r.Dropped() > before {
			dropped++
		} else {
			in = append(in, b)
		}
		for rnd.IntN(40) > 20 {
			ok, err := r.Next(&p)
			require.NoError(t, err)
			if !ok {
				break
			}
			require.True(t, bytes.Equal(in[0], p.Data))
			require.Equal(t, len(in[0]), p.Wire)
			require.EqualValues(t, 3, p.Ifindex)
			in = in[1:]
		}
	}
	for range in {
		ok, err := r.Next(&p)
		require.NoError(t, err)
		require.True(t, ok)
	}
	ok, _ := r.Next(&p)
	require.False(t, ok)
	require.NotZero(t, dropped)
	require.Equal(t, dropped, r.Dropped())
}

func TestLongPacketsAreCut(t *testing.T) {
	w, r := ring(t, 1<<16, 60)
	w.Put(7, watch.Outbound, 1, 0, make([]byte, 1500))
	var p Packet
	ok, err := r.Next(&p)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, p.Data, 60)
	require.Equal(t, 1500, p.Wire)
	require.EqualValues(t, watch.Outbound, p.Direction)
	require.EqualValues(t, 7, p.Time)
}

// FuzzReader: whatever a program writes into the memory, the reader ends or errs.
func FuzzReader(f *testing.F) {
	f.Add([]byte{40, 0, 0, 0, 8, 0, 0, 0}, uint64(40))
	f.Fuzz(func(t *testing.T, data []byte, head uint64) {
		w, r := ring(t, 1<<16, 1500)
		copy(w.data, data)
		w.h.head.Store(head)
		var p Packet
		for range 1 << 14 {
			if ok, err := r.Next(&p); !ok || err != nil {
				return
			}
		}
	})
}

func TestTheVIShowsBothDirections(t *testing.T) {
	memory := func() efvi.Memory { return efvi.Memory{Bytes: make([]byte, 4*efvi.FrameSize)} }
	am, bm := memory(), memory()
	a, b := loop.New(am, bm, loop.Config{Info: efvi.Info{Device: "veth0", Ifindex: 9, Queue: 2}})
	w, r := ring(t, 1<<16, 1500)
	v := Wrap(a, am, []*Writer{w}, func() int64 { return 42 })
	copy(am.Frame(0), "out")
	require.True(t, v.Send(0, 0, 3))
	require.NoError(t, v.Flush())
	v.Post([]uint32{1})
	copy(bm.Frame(0), "inbox")
	b.Send(0, 0, 5)
	require.NoError(t, b.Flush())
	var ev [4]efvi.Event
	require.Equal(t, 2, v.Poll(ev[:]))
	for _, want := range []string{"out", "inbox"} {
		var p Packet
		ok, err := r.Next(&p)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, string(p.Data))
		require.EqualValues(t, 9, p.Ifindex)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { w.Put(1, watch.Inbound, 1, 1, am.Frame(0)[:1500]) }))
	require.EqualValues(t, magic, binary.NativeEndian.Uint32(w.mem))
}

// bursting takes bursts, and says no to every second one.
type bursting struct {
	efvi.VI
	n int
}

func (b *bursting) Burst(*efvi.Burst) bool { b.n++; return b.n%2 == 1 }

// A run of segments that leaves in one piece is seen in one piece, whole and with its checksum; one that was not taken is not seen.
func TestBurstsAreSeen(t *testing.T) {
	mem := efvi.Memory{Bytes: make([]byte, 64*efvi.FrameSize)}
	dev, _ := loop.New(mem, efvi.Memory{Bytes: make([]byte, 64*efvi.FrameSize)}, loop.Config{})
	w, r := ring(t, 1<<20, 1<<16)
	v := Wrap(&bursting{VI: dev}, mem, []*Writer{w}, func() int64 { return 7 })
	head := make([]byte, 54)
	head[50], head[51] = 0x12, 0x34 // the pseudo-header's sum
	b := efvi.Burst{Head: head, IP: 14, TCP: 34, Payload: [][]byte{bytes.Repeat([]byte{1}, 1448), bytes.Repeat([]byte{2}, 1448), {3}}, Size: 1448}
	require.True(t, v.Burst(&b))
	require.False(t, v.Burst(&b))
	var p Packet
	ok, err := r.Next(&p)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 54+2*1448+1, p.Wire)
	require.Equal(t, append(append(append([]byte{}, b.Payload[0]...), b.Payload[1]...), 3), p.Data[54:])
	sum := uint32(0x1234) + 724*0x0101 + 724*0x0202 + 0x0300
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	require.Equal(t, ^uint16(sum), binary.BigEndian.Uint16(p.Data[50:]))
	ok, err = r.Next(&p)
	require.NoError(t, err)
	require.False(t, ok)
}

package pbuf

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGetReleaseReturnsTheFrame(t *testing.T) {
	p := New(make([]byte, 4*64), 64)
	b := p.Get()
	require.EqualValues(t, 0, b.Index, "frame 0 goes out first")
	b.Ref()
	b.Release()
	require.Equal(t, 3, p.Free(), "one reference is still held")
	b.Release()
	require.Equal(t, 4, p.Free())
}

func TestReserveIsKeptFromGet(t *testing.T) {
	p := New(make([]byte, 4*64), 64)
	p.SetReserve(2)
	require.NotNil(t, p.Get())
	require.NotNil(t, p.Get())
	require.Nil(t, p.Get(), "only the reserve is left")
	require.NotNil(t, p.GetReserved())
	require.NotNil(t, p.GetReserved())
	require.Nil(t, p.GetReserved(), "the pool is empty")
}

func TestFramesDoNotOverlap(t *testing.T) {
	p := New(make([]byte, 130), 64)
	require.Equal(t, 2, p.Len(), "a rest that fills no frame is left unused")
	a, b := p.Get(), p.Get()
	a.Start, a.End = 10, 20
	copy(a.Bytes(), "0123456789")
	b.Frame()[0] = 'x'
	require.Equal(t, "0123456789", string(a.Bytes()))
	require.Equal(t, 64, cap(a.Frame()), "appending must not reach the next frame")
}

func TestGetReleaseDoesNotAllocate(t *testing.T) {
	p := New(make([]byte, 4*64), 64)
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Get().Release() }))
}

package afxdp_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/efvi"
)

func TestPagesAreMade(t *testing.T) {
	const frames = 300 // no multiple of what is written at once
	mem, err := afxdp.NewMemory("sluice-test", frames)
	require.NoError(t, err)
	defer mem.Close()
	made := func() int64 {
		st, err := mem.Stat()
		require.NoError(t, err)
		return st.Sys().(*syscall.Stat_t).Blocks * 512
	}
	require.Zero(t, made())
	require.NoError(t, afxdp.MakePages(mem))
	require.EqualValues(t, frames*efvi.FrameSize, made())
	m, err := afxdp.MapMemory(mem)
	require.NoError(t, err)
	require.Equal(t, make([]byte, len(m.Bytes)), m.Bytes)
	require.NoError(t, afxdp.UnmapMemory(m))
}

package tcp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeqWrapsAround(t *testing.T) {
	a := Seq(0xffff_fff0)
	b := a.Add(0x20)
	require.Equal(t, Seq(0x10), b)
	require.True(t, a.LT(b) && a.LEQ(b) && b.GT(a) && b.GEQ(a) && a.LEQ(a) && a.GEQ(a))
	require.False(t, b.LT(a) || a.GT(a) || a.LT(a))
	require.Equal(t, 0x20, b.Sub(a))
	require.Equal(t, -0x20, a.Sub(b))
	require.True(t, a.In(a, b) && Seq(0).In(a, b))
	require.False(t, b.In(a, b))
	require.Equal(t, b, maxSeq(a, b))
	require.Equal(t, a, minSeq(a, b))
}

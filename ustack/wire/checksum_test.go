package wire

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainSum is RFC 1071 §4.1 as it is written there.
func plainSum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(be.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func TestSumIsThatOfTheRFC(t *testing.T) {
	// The numerical example of RFC 1071 §3.
	require.EqualValues(t, 0xddf2, Sum([]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}))
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 2000)
	for range 2000 {
		b := b[:r.IntN(len(b))]
		for i := range b {
			b[i] = byte(r.Uint32()) | byte(r.IntN(2)*255)
		}
		require.Equal(t, plainSum(b), Sum(b), "% x", b)
		dst := make([]byte, len(b))
		require.Equal(t, plainSum(b), CopySum(dst, b))
		require.Equal(t, b, dst)
		cut := r.IntN(len(b)+1) &^ 1
		require.Equal(t, ^Sum(b), ^Add(Sum(b[:cut]), Sum(b[cut:])), "pieces at even offsets join")
	}
}

func TestChecksumPartialOnlyWhenTheDeviceSaysSo(t *testing.T) {
	b := make([]byte, 30)
	(&TCPFields{SrcPort: 1, DstPort: 2, Flags: ACK}).Put(b)
	pseudo := PseudoSum([]byte{10, 0, 0, 1, 10, 0, 0, 2}, ProtoTCP, len(b))
	PutTCPChecksum(b, TCPLen, pseudo, Sum(b[TCPLen:]))
	require.True(t, ChecksumOK(b, pseudo, TCP(b).Checksum(), false))
	b[25] ^= 1
	require.False(t, ChecksumOK(b, pseudo, TCP(b).Checksum(), true))
	be.PutUint16(b[16:], pseudo)
	require.True(t, ChecksumOK(b, pseudo, TCP(b).Checksum(), true))
	require.False(t, ChecksumOK(b, pseudo, TCP(b).Checksum(), false))
}

func BenchmarkCopySum1448(b *testing.B) {
	src, dst := make([]byte, 1448), make([]byte, 1448)
	b.SetBytes(1448)
	for range b.N {
		CopySum(dst, src)
	}
}

func BenchmarkSum1448(b *testing.B) {
	src := make([]byte, 1448)
	b.SetBytes(1448)
	for range b.N {
		Sum(src)
	}
}

// All bits set is where a carry could get lost.
func TestSumOfOnes(t *testing.T) {
	b := make([]byte, 1<<16)
	for i := range b {
		b[i] = 0xff
	}
	for n := range 600 {
		require.Equal(t, plainSum(b[:n]), Sum(b[:n]), n)
	}
	require.EqualValues(t, 0xffff, Sum(b))
}

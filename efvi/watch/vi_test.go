package watch

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A sum that is left to the device is whole in what is shown.
func TestSumsAreFinished(t *testing.T) {
	for n := 20; n < 64; n++ {
		p := make([]byte, 14+n)
		for i := range p {
			p[i] = byte(i*i + n)
		}
		p[30], p[31] = 0x12, 0x34 // the folded sum of a pseudo header
		finish(p, 14, 30)
		sum := uint32(0x1234)
		for i := 14; i < len(p); i += 2 {
			sum += uint32(p[i]) << 8
			if i+1 < len(p) {
				sum += uint32(p[i+1])
			}
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		require.EqualValues(t, 0xffff, sum, "a receiver finds nothing wrong")
	}
}

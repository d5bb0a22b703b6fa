//go:build !amd64

package wire

import "encoding/binary"

func sumBlocks(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		sum += w>>32 + w&0xffffffff
	}
	return sum
}

package wire

// sumBlocks adds the 32-bit words of b, which is a positive multiple of 64 bytes and less than a gigabyte.
//
//go:noescape
func sumBlocks(b []byte) uint64

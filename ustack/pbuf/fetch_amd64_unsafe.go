//go:build amd64

package pbuf

import "unsafe"

// fetch prefetches the cache lines of the n bytes at p.
//
//go:noescape
func fetch(p unsafe.Pointer, n uintptr)

package engine

import (
	"sync/atomic"
	"unsafe"
)

const pageSize = 4096

// restOfPage is how many octets from the first of b on are in its page.
func restOfPage(b []byte) int {
	return pageSize - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))%pageSize)
}

// touch reads, or writes without a change, the word that holds the first octet of b. It panics where there is no memory.
func touch(b []byte, write bool) {
	p := unsafe.Pointer(unsafe.SliceData(b))
	word := (*uint32)(unsafe.Add(p, -int(uintptr(p)%4)))
	if write {
		atomic.OrUint32(word, 0)
	} else {
		atomic.LoadUint32(word)
	}
}

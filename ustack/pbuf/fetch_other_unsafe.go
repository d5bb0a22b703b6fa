//go:build !amd64

package pbuf

import "unsafe"

func fetch(unsafe.Pointer, uintptr) {}

// SPDX-License-Identifier: Apache-2.0

// Command cabi is the engine as a C shared library: libsluice_engine.so, built with -buildmode=c-shared. Its functions are
// described in cabi.h, the manual of this border. Here are conversions only; the work is in package engine.
package main

/*
#cgo CFLAGS: -DSL_CGO
#include "cabi.h"
*/
import "C"

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {}

const kernel = C.int(C.SL_KERNEL)

//export sl_start
func sl_start(shared *C.struct_sl_shared, boot *C.struct_sl_boot) C.int { return kernel }

//export sl_listen
func sl_listen(kfd, backlog C.int) C.int { return kernel }

//export sl_relisten
func sl_relisten(h, backlog C.int) C.int { return -C.int(unix.EBADF) }

//export sl_accept
func sl_accept(h C.int, sa *C.struct_sockaddr, length *C.socklen_t) C.int {
	return -C.int(unix.EBADF)
}

//export sl_connect
func sl_connect(kfd C.int, sa *C.struct_sockaddr, length C.socklen_t) C.int { return kernel }

//export sl_recv
func sl_recv(h C.int, iov *C.struct_iovec, n, flags C.int, info *C.struct_sl_recvinfo) C.ssize_t {
	return -C.ssize_t(unix.EBADF)
}

//export sl_send
func sl_send(h C.int, iov *C.struct_iovec, n, flags C.int) C.ssize_t {
	return -C.ssize_t(unix.EBADF)
}

//export sl_shutdown
func sl_shutdown(h, how C.int) C.int { return -C.int(unix.EBADF) }

//export sl_close
func sl_close(h C.int) C.int { return -C.int(unix.EBADF) }

//export sl_setsockopt
func sl_setsockopt(h, level, name C.int, val unsafe.Pointer, length C.socklen_t) C.int {
	return -C.int(unix.EBADF)
}

//export sl_getsockopt
func sl_getsockopt(h, level, name C.int, val unsafe.Pointer, length *C.socklen_t) C.int {
	return -C.int(unix.EBADF)
}

//export sl_name
func sl_name(h, peer C.int, sa *C.struct_sockaddr, length *C.socklen_t) C.int {
	return -C.int(unix.EBADF)
}

//export sl_ioctl
func sl_ioctl(h C.int, req C.ulong, val *C.int) C.int { return -C.int(unix.EBADF) }

//export sl_poll
func sl_poll() C.int { return 0 }

//export sl_handover
func sl_handover(h C.int) C.int { return -C.int(unix.EBADF) }

//export sl_stop
func sl_stop() C.int { return 0 }

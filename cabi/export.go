// SPDX-License-Identifier: Apache-2.0

// Command cabi is the engine as a C shared library: libsluice_engine.so, built with -buildmode=c-shared. Its functions are
// described in cabi.h, the manual of this border. Here are conversions only; the work is in package engine.
package main

/*
#cgo CFLAGS: -DSL_CGO
#cgo LDFLAGS: -Wl,--wrap=mmap -Wl,--wrap=malloc -Wl,--wrap=free
#include "cabi.h"
#include "room.h"
*/
import "C"

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/ustack/usock"
)

func main() {}

// the is the process's engine, nil until sl_start succeeds. C calls nothing before sl_start has returned.
var the *engine.Engine

// The two descriptions of the shared memory agree, or this does not compile.
var (
	_ [unsafe.Offsetof(C.struct_sl_shared{}.wish)]byte         = [unsafe.Offsetof(engine.Shared{}.Wish)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.fds)]byte          = [unsafe.Offsetof(engine.Shared{}.FDs)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.ring_changes)]byte = [unsafe.Offsetof(engine.Shared{}.RingChanges)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.kicks)]byte        = [unsafe.Offsetof(engine.Shared{}.Kicks)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.plain)]byte        = [unsafe.Offsetof(engine.Shared{}.Plain)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_plain{}.head)]byte          = [unsafe.Offsetof(engine.Plain{}.Head)]byte{}
	_ [C.sizeof_struct_sl_plain]byte                           = [unsafe.Sizeof(engine.Plain{})]byte{}
	_ [C.sizeof_struct_sl_shared]byte                          = [unsafe.Sizeof(engine.Shared{})]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.changed_head)]byte = [unsafe.Offsetof(engine.Shared{}.ChangedHead)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.deadline_ns)]byte  = [unsafe.Offsetof(engine.Shared{}.Deadline)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.wake_epfd)]byte    = [unsafe.Offsetof(engine.Shared{}.WakeFD)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.rings)]byte        = [unsafe.Offsetof(engine.Shared{}.Ring)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.notes)]byte        = [unsafe.Offsetof(engine.Shared{}.Notes)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.own)]byte          = [unsafe.Offsetof(engine.Shared{}.Own)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.crossings)]byte    = [unsafe.Offsetof(engine.Shared{}.Crossings)]byte{}
	_ [unsafe.Offsetof(C.struct_sl_shared{}.starved)]byte      = [unsafe.Offsetof(engine.Shared{}.Starved)]byte{}
)

//export sl_start
func sl_start(shared *C.struct_sl_shared, boot *C.struct_sl_boot) C.int {
	if boot.size != C.sizeof_struct_sl_boot || boot.abi != C.SL_ABI {
		return -C.int(unix.EINVAL)
	}
	e, err := engine.Start(engine.SharedAt(unsafe.Pointer(shared)), engine.Boot{
		Door: int(boot.door_fd), FDMin: int(boot.fd_min), Env: strings(boot.env), Kicks: boot.flags&C.SL_KICKS != 0, Watch: boot.flags&C.SL_WATCH != 0,
		Room: func() bool { return C.room_keep() != 0 },
	})
	if err != nil {
		return engine.Kernel
	}
	the = e
	return 0
}

//export sl_listen
func sl_listen(kfd, backlog C.int) C.int { return C.int(the.SLListen(int(kfd), int(backlog))) }

//export sl_relisten
func sl_relisten(h, backlog C.int) C.int { return C.int(the.SLRelisten(int32(h), int(backlog))) }

//export sl_accept
func sl_accept(h C.int, sa *C.struct_sockaddr, length *C.socklen_t) C.int {
	var a engine.Sockaddr
	n := 0
	ret := the.SLAccept(int32(h), &a, &n)
	if ret >= 0 {
		putAddr(a[:n], sa, length)
	}
	return C.int(ret)
}

//export sl_connect
func sl_connect(kfd C.int, sa *C.struct_sockaddr, length C.socklen_t, how C.int) C.int {
	if sa == nil {
		return -C.int(unix.EFAULT)
	}
	return C.int(the.SLConnect(int(kfd), unsafe.Slice((*byte)(unsafe.Pointer(sa)), min(int(length), 128)), int(how)))
}

//export sl_connect_data
func sl_connect_data(kfd C.int, sa *C.struct_sockaddr, length C.socklen_t, iov *C.struct_iovec, n C.int, took *C.size_t) C.int {
	if sa == nil || took == nil {
		return -C.int(unix.EFAULT)
	}
	var store [16][]byte
	sent := 0
	vec, _ := vectors(iov, n, store[:0])
	ret := the.SLConnectData(int(kfd), unsafe.Slice((*byte)(unsafe.Pointer(sa)), min(int(length), 128)), vec, &sent)
	*took = C.size_t(sent)
	return C.int(ret)
}

//export sl_recv
func sl_recv(h C.int, iov *C.struct_iovec, n, flags C.int, info *C.struct_sl_recvinfo) C.ssize_t {
	var store [16][]byte
	var i usock.RecvInfo
	inq := 0
	vec, hollow := vectors(iov, n, store[:0])
	ret := the.SLRecv(int32(h), vec, hollow, int(flags), &i, &inq)
	if info != nil {
		info.msg_flags, info.inq, info.stamp_ns = C.uint32_t(i.Flags), C.uint32_t(inq), 0
	}
	return C.ssize_t(ret)
}

//export sl_send
func sl_send(h C.int, iov *C.struct_iovec, n, flags C.int) C.ssize_t {
	var store [16][]byte
	vec, hollow := vectors(iov, n, store[:0])
	return C.ssize_t(the.SLSend(int32(h), vec, hollow, int(flags)))
}

//export sl_send_many
func sl_send_many(v *C.struct_sl_piece, n C.int) {
	var some [32]engine.Piece
	for v := unsafe.Slice(v, max(int(n), 0)); len(v) > 0; {
		k := min(len(v), len(some))
		for i := range v[:k] {
			p := &v[i]
			some[i] = engine.Piece{Handle: int32(p.handle), Corked: p.flags&engine.Corked != 0, Octets: unsafe.Slice((*byte)(p.data), int(p.len))}
		}
		the.SLSendMany(some[:k])
		for i := range v[:k] {
			v[i].result = C.ssize_t(some[i].Result)
		}
		v = v[k:]
	}
}

//export sl_shutdown
func sl_shutdown(h, how C.int) C.int { return C.int(the.SLShutdown(int32(h), int(how))) }

//export sl_close
func sl_close(h C.int) C.int { return C.int(the.SLClose(int32(h))) }

//export sl_setsockopt
func sl_setsockopt(h, level, name C.int, val unsafe.Pointer, length C.socklen_t) C.int {
	if val == nil && length > 0 {
		return -C.int(unix.EFAULT)
	}
	return C.int(the.SLSetOption(int32(h), int(level), int(name), unsafe.Slice((*byte)(val), min(int(length), 4096))))
}

//export sl_getsockopt
func sl_getsockopt(h, level, name C.int, val unsafe.Pointer, length *C.socklen_t) C.int {
	if length == nil || (val == nil && *length > 0) {
		return -C.int(unix.EFAULT)
	}
	ret := the.SLOption(int32(h), int(level), int(name), unsafe.Slice((*byte)(val), min(int(*length), 4096)))
	if ret < 0 {
		return C.int(ret)
	}
	*length = C.socklen_t(ret)
	return 0
}

//export sl_name
func sl_name(h, peer C.int, sa *C.struct_sockaddr, length *C.socklen_t) C.int {
	var a engine.Sockaddr
	ret := the.SLName(int32(h), peer != 0, &a)
	if ret < 0 {
		return C.int(ret)
	}
	putAddr(a[:ret], sa, length)
	return 0
}

//export sl_ioctl
func sl_ioctl(h C.int, req C.ulong, val *C.int) C.int {
	v := 0
	ret := the.SLIoctl(int32(h), uint(req), &v)
	if ret == 0 && val != nil {
		*val = C.int(v)
	}
	return C.int(ret)
}

//export sl_poll
func sl_poll(waits C.int) C.int { return C.int(the.SLPoll(waits != 0)) }

//export sl_handover
func sl_handover(h C.int) C.int { return C.int(the.SLHandover(int32(h))) }

//export sl_wished
func sl_wished(kfd C.int) C.int { return C.int(the.SLWished(int(kfd))) }

//export sl_takeover
func sl_takeover(n C.int, kfds, results *C.int) C.int {
	the.SLTakeover(unsafe.Slice((*int32)(kfds), n), unsafe.Slice((*int32)(results), n))
	return 0
}

//export sl_wish_done
func sl_wish_done(moved, left C.int) C.int { return C.int(the.SLWishDone(int(moved), int(left))) }

//export sl_stop
func sl_stop() C.int { return C.int(the.SLStop()) }

// strings copies a NULL-terminated list.
func strings(list **C.char) (all []string) {
	if list == nil {
		return nil
	}
	for _, p := range unsafe.Slice(list, 1024) {
		if p == nil {
			break
		}
		all = append(all, C.GoString(p))
	}
	return all
}

// vectors describes the program's buffers; store keeps the usual case off the heap.
func vectors(iov *C.struct_iovec, n C.int, store [][]byte) (vec [][]byte, hollow bool) {
	if n <= 0 || iov == nil {
		return nil, false
	}
	for _, v := range unsafe.Slice(iov, min(int(n), 1024)) {
		switch {
		case v.iov_len > 0 && v.iov_base == nil:
			hollow = true
		case v.iov_len > 0:
			store = append(store, unsafe.Slice((*byte)(v.iov_base), int(min(v.iov_len, 1<<30))))
		}
	}
	return store, hollow
}

// putAddr copies an address as the kernel does: what fits, and the full length.
func putAddr(a []byte, sa *C.struct_sockaddr, length *C.socklen_t) {
	if sa == nil || length == nil {
		return
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(sa)), int(*length)), a)
	*length = C.socklen_t(len(a))
}

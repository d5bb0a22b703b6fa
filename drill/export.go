// SPDX-License-Identifier: Apache-2.0

// Command drill is the packetdrill plug-in, libsluice_packetdrill.so, built with -buildmode=c-shared: scripts of
// google/packetdrill run against our stack in virtual time. plugin.c has the functions that packetdrill calls; here their
// arguments become Go's. What they do is in package machine.
package main

/*
#include <stdlib.h>
#include "call.h"
*/
import "C"

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/cabi/engine"
	"github.com/sluice-net/sluice/drill/machine"
	"github.com/sluice-net/sluice/ustack/tcp"
)

func main() {}

//export drill_start
func drill_start(flags *C.char) {
	conf, err := machine.ParseFlags(C.GoString(flags))
	if err != nil {
		fmt.Fprintln(os.Stderr, "libsluice_packetdrill:", err)
		os.Exit(1)
	}
	conf.Settings = settings
	conf.Refuses = refuses
	conf.Clock = func(now int64) { C.drill_clock(C.longlong(now)) }
	conf.FD = func() int { return int(C.drill_fd()) }
	m := machine.New(conf)
	go func() {
		for {
			serve(m, C.drill_next())
		}
	}()
}

// settings are those of the script's namespace. A key of zeros is one that it set, not none as on a host: without one no cookie of a script could be foretold.
func settings() *tcp.Params {
	p := engine.ReadParams()
	p.FastOpenKeys.N = max(p.FastOpenKeys.N, 1)
	return p
}

// serve has the machine do a call; a call that waits is replied to later.
func serve(m *machine.Machine, c *C.struct_drill_call) {
	reply := func(ret int) {
		c.ret = C.longlong(ret)
		C.drill_reply(c)
	}
	m.Until(int64(C.drill_now()))
	caller := machine.Caller{Others: c.foreign != 0, Reply: reply}
	fd, a, b := int(c.fd), int(c.a), int(c.b)
	switch c.op {
	case C.DRILL_SOCKET:
		reply(m.Socket(a, b, int(c.c)))
	case C.DRILL_BIND:
		reply(m.Bind(fd, buffer(c)))
	case C.DRILL_LISTEN:
		reply(m.Listen(fd, a))
	case C.DRILL_ACCEPT:
		m.Accept(caller, fd, func(sa []byte) {
			copy(buffer(c), sa)
			c.n = C.size_t(len(sa))
		})
	case C.DRILL_CONNECT:
		m.Connect(caller, fd, buffer(c))
	case C.DRILL_RECV:
		info := &machine.Received{}
		caller.Reply = func(ret int) {
			room := unsafe.Slice((*byte)(c.p), c.at)
			if len(info.Control) > len(room) {
				info.Flags |= unix.MSG_CTRUNC
			}
			c.at = C.longlong(copy(room, info.Control))
			c.b = C.int(info.Flags)
			reply(ret)
		}
		m.Recv(caller, fd, vectors(c), a, info)
	case C.DRILL_SEND:
		m.Send(caller, fd, vectors(c), a, unsafe.Slice((*byte)(c.p), c.c))
	case C.DRILL_FCNTL:
		reply(m.Fcntl(fd, a, b))
	case C.DRILL_IOCTL:
		v, ret := m.Ioctl(fd, uint(c.n), int32(c.a))
		c.a = C.int(v)
		reply(ret)
	case C.DRILL_CLOSE:
		m.Close(caller, fd)
	case C.DRILL_SHUTDOWN:
		reply(m.Shutdown(fd, a))
	case C.DRILL_GETSOCKOPT:
		reply(m.Option(fd, a, b, buffer(c)))
	case C.DRILL_SETSOCKOPT:
		reply(m.SetOption(fd, a, b, buffer(c)))
	default:
		serveRest(m, c, caller)
	}
}

// serveRest serves readiness, packets and time.
func serveRest(m *machine.Machine, c *C.struct_drill_call, caller machine.Caller) {
	switch c.op {
	case C.DRILL_POLL:
		m.Poll(caller, unsafe.Slice((*machine.PollFD)(c.p), c.n), int(c.a))
	case C.DRILL_EPOLL_CREATE:
		caller.Reply(m.EpollCreate(int(c.a)))
	case C.DRILL_EPOLL_CTL:
		var ev, none machine.EpollEvent
		if ev = none; c.p != nil {
			ev = *readEvent(c.p)
		}
		caller.Reply(m.EpollCtl(int(c.fd), int(c.a), int(c.b), ev.Events, ev.Data))
	case C.DRILL_EPOLL_WAIT:
		m.EpollWait(caller, int(c.fd), int(c.a), int(c.b), func(i int, ev machine.EpollEvent) { writeEvent(c.p, i, ev) })
	case C.DRILL_PACKET_IN:
		m.Refresh()
		m.Input(buffer(c))
		caller.Reply(0)
	case C.DRILL_PACKET_OUT:
		ip, at, ok := m.Output()
		if !ok {
			fmt.Fprintln(os.Stderr, "libsluice_packetdrill: no packet will ever come: nothing is due any more")
			os.Exit(1)
		}
		c.at = C.longlong(at)
		caller.Reply(copy(buffer(c), ip))
	case C.DRILL_SLEEP:
		m.Refresh()
		m.Sleep(time.Duration(c.n) * time.Microsecond)
		caller.Reply(0)
	default:
		caller.Reply(-int(unix.ENOSYS))
	}
}

// buffer is the memory at p.
func buffer(c *C.struct_drill_call) []byte { return unsafe.Slice((*byte)(c.p), c.n) }

// vectors are the program's buffers.
func vectors(c *C.struct_drill_call) (iov [][]byte) {
	for _, v := range unsafe.Slice(c.iov, c.n) {
		if v.iov_len > 0 && v.iov_base != nil {
			iov = append(iov, unsafe.Slice((*byte)(v.iov_base), v.iov_len))
		}
	}
	return iov
}

// struct epoll_event is packed on x86-64: Go cannot name its second field.
func readEvent(p unsafe.Pointer) *machine.EpollEvent {
	ev := (*unix.EpollEvent)(p)
	return &machine.EpollEvent{Events: ev.Events, Data: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32}
}

func writeEvent(p unsafe.Pointer, i int, ev machine.EpollEvent) {
	unsafe.Slice((*unix.EpollEvent)(p), i+1)[i] = unix.EpollEvent{Events: ev.Events, Fd: int32(ev.Data), Pad: int32(ev.Data >> 32)}
}

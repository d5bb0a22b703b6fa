package path

import (
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openSocket takes every frame that arrives at a device and none that leaves it. What it sends goes by the queue that the flow's hash says, as a switch and
// a card with RSS have it: PACKET_QDISC_BYPASS would send by that of the processor on which our thread happens to run, and one flow by several.
func openSocket(device string) (int, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64 << 20}, {unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 64 << 20},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("set packet socket's option %d: %w", o.name, err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("bind packet socket: %w", err)
	}
	return fd, nil
}

// messages is struct mmsghdr and what it points to, for a batch.
type messages struct {
	head [batch]mmsghdr
	iov  [batch]unix.Iovec
}

type mmsghdr struct {
	unix.Msghdr
	n uint32
	_ uint32
}

func (m *messages) prepare(n int, buf func(int) []byte) {
	for i := range n {
		b := buf(i)
		m.iov[i].Base = &b[0]
		m.iov[i].SetLen(len(b))
		m.head[i] = mmsghdr{}
		m.head[i].Iov = &m.iov[i]
		m.head[i].SetIovlen(1)
	}
}

// receive takes up to n packets and says how many came.
func (m *messages) receive(fd, n int, buf func(int) []byte) int {
	m.prepare(n, buf)
	got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.head)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(got)
}

func (m *messages) length(i int) int { return int(m.head[i].n) }

// send sends n packets; one that the device refuses is lost.
func (m *messages) send(fd, n int, buf func(int) []byte) {
	m.prepare(n, buf)
	for at := 0; at < n; {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.head[at])), uintptr(n-at), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			sent = 1
		}
		at += int(sent)
	}
}

// beReal gives the thread what a wire has: it is not kept waiting by who computes, and it wakes up in time.
func beReal() {
	param := struct{ priority int32 }{1}
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, unix.SCHED_FIFO, uintptr(unsafe.Pointer(&param)))
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

func nanotime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// waitFor sleeps until one of the sockets has a packet, at most ns.
func waitFor(a, b int, ns int64) {
	fds := [2]unix.PollFd{{Fd: int32(a), Events: unix.POLLIN}, {Fd: int32(b), Events: unix.POLLIN}}
	t := unix.NsecToTimespec(max(ns, 0))
	_, _ = unix.Ppoll(fds[:], &t, nil)
}

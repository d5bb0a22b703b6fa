package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// maxPieces of a burst's payload.
const maxPieces = 64

// virtioHeader is struct virtio_net_hdr, in the byte order of the machine.
type virtioHeader struct {
	flags, gsoType                         uint8
	hdrLen, gsoSize, csumStart, csumOffset uint16
}

// Values of virtioHeader, from linux/virtio_net.h.
const (
	virtioNeedsChecksum = 1
	virtioTCPv4         = 1
	virtioTCPv6         = 4
)

// burster sends bursts by a packet socket.
type burster struct {
	fd   int
	head virtioHeader
	msg  unix.Msghdr
	iov  [2 + maxPieces]unix.Iovec
}

func (s *burster) send(b *efvi.Burst) bool {
	if len(b.Payload) > maxPieces || len(b.Head) == 0 {
		return false
	}
	const headLen = 10 // without the padding that Go adds
	s.head = virtioHeader{flags: virtioNeedsChecksum, gsoType: virtioTCPv4, hdrLen: uint16(len(b.Head)), gsoSize: uint16(b.Size),
		csumStart: uint16(b.TCP), csumOffset: 16}
	if b.Head[b.IP]>>4 == 6 {
		s.head.gsoType = virtioTCPv6
	}
	s.iov[0] = unix.Iovec{Base: (*byte)(unsafe.Pointer(&s.head)), Len: headLen}
	s.iov[1] = unix.Iovec{Base: &b.Head[0], Len: uint64(len(b.Head))}
	n := 2
	for _, p := range b.Payload {
		if len(p) > 0 {
			s.iov[n] = unix.Iovec{Base: &p[0], Len: uint64(len(p))}
			n++
		}
	}
	s.msg = unix.Msghdr{Iov: &s.iov[0], Iovlen: uint64(n)}
	// The runtime is not told: its monitor would take the processor away in each of these calls, which last longer than it likes.
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msg)), unix.MSG_DONTWAIT)
	return errno == 0
}

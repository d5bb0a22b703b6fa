package machine

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// message appends an ancillary message as CMSG_NXTHDR finds it.
func (r *Received) message(level, typ int, data []byte) {
	r.Control = append(r.Control, make([]byte, unix.CmsgSpace(len(data)))...)
	b := r.Control[len(r.Control)-unix.CmsgSpace(len(data)):]
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(typ))
	copy(b[unix.CmsgLen(0):], data)
}

// tellInq is TCP_INQ's message: how much is left to read.
func (s *socket) tellInq(r *Received) {
	if s.number(unix.IPPROTO_TCP, unix.TCP_INQ) != 0 {
		r.message(unix.IPPROTO_TCP, unix.TCP_CM_INQ, binary.NativeEndian.AppendUint32(nil, uint32(s.s.InqHint())))
	}
}

// takeNote is recvmsg(2) with MSG_ERRQUEUE, as ip_recv_error and ipv6_recv_error.
func (s *socket) takeNote(r *Received) error {
	if s.s == nil {
		return tcp.ErrAgain
	}
	n, ok := s.s.TakeNote()
	if !ok {
		return tcp.ErrAgain
	}
	r.Flags |= unix.MSG_ERRQUEUE
	errno := uint32(0)
	if n.Origin == tcp.NoteOfStamp {
		errno = uint32(unix.ENOMSG)
		stamping := s.number(unix.SOL_SOCKET, unix.SO_TIMESTAMPING)
		if stamping&tcp.StampOnly == 0 {
			r.Flags |= unix.MSG_TRUNC // the segment, for which no room is made
		}
		if stamping&tcp.StampSoftware != 0 {
			var times [3 * 16]byte // struct scm_timestamping: software, nothing, hardware
			binary.NativeEndian.PutUint64(times[:], uint64(n.At/1e9))
			binary.NativeEndian.PutUint64(times[8:], uint64(n.At%1e9))
			r.message(unix.SOL_SOCKET, unix.SCM_TIMESTAMPING, times[:])
		}
	}
	level, typ, address := unix.SOL_IP, unix.IP_RECVERR, unix.SizeofSockaddrInet4
	if s.six {
		level, typ, address = unix.SOL_IPV6, unix.IPV6_RECVERR, unix.SizeofSockaddrInet6
	}
	b := make([]byte, 16+address) // struct sock_extended_err, and the offender's address: nobody's
	binary.NativeEndian.PutUint32(b, errno)
	b[4], b[6] = n.Origin, n.Code
	binary.NativeEndian.PutUint32(b[8:], n.Info)
	binary.NativeEndian.PutUint32(b[12:], n.Data)
	r.message(level, typ, b)
	return nil
}

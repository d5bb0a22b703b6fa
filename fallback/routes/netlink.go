package routes

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// socket is an rtnetlink socket. The library's own sockets go through the runtime's poller, whose descriptors would
// appear among the program's; a plain one needs nothing.
type socket struct {
	fd  int
	seq uint32
	buf []byte
}

func open(fdMin int, groups uint32) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if fd, err = lift(fd, fdMin); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, buf: make([]byte, 32<<10)}, nil
}

// do sends one request and returns the body of its one answer. The kernel answers requests that are no dumps before
// send returns, so there is nothing to wait for.
func (s *socket) do(kind uint16, body []byte, attrs ...*nl.RtAttr) ([]byte, error) {
	s.seq++
	req := make([]byte, unix.NLMSG_HDRLEN, 256)
	req = append(req, body...)
	for _, a := range attrs {
		req = append(req, a.Serialize()...)
	}
	binary.NativeEndian.PutUint32(req[0:], uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], kind)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(req[8:], s.seq)
	if err := unix.Sendto(s.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send rtnetlink request: %w", err)
	}
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, unix.MSG_DONTWAIT)
		if err != nil {
			return nil, fmt.Errorf("receive rtnetlink answer: %w", err)
		}
		msgs, err := syscall.ParseNetlinkMessage(s.buf[:n])
		if err != nil {
			return nil, fmt.Errorf("parse rtnetlink answer: %w", err)
		}
		for _, m := range msgs {
			if m.Header.Seq != s.seq {
				continue
			}
			if m.Header.Type == unix.NLMSG_ERROR {
				return nil, answerError(m.Data)
			}
			return m.Data, nil
		}
	}
}

func answerError(b []byte) error {
	if len(b) < 4 {
		return unix.EPROTO
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(b)))
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func addrAttr(kind int, a netip.Addr) *nl.RtAttr {
	return nl.NewRtAttr(kind, a.AsSlice())
}

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

func u32(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}

// attrs parses what follows a header of size bytes.
func attrs(b []byte, size int) []syscall.NetlinkRouteAttr {
	if len(b) < size {
		return nil
	}
	out, err := nl.ParseRouteAttr(b[size:])
	if err != nil {
		return nil
	}
	return out
}

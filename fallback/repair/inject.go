package repair

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The kernel lets nobody set a state beyond ESTABLISHED. It gets there as it would have: by a segment, which we send to it in the peer's
// name over the loopback path. The peer never sees it.

const (
	flagFIN = 0x01
	flagACK = 0x10
)

// Injector sends such segments, in the network namespace that it was made in.
type Injector struct{ v4, v6 int }

// NewInjector needs CAP_NET_RAW. A host without IPv6 has an injector, too.
func NewInjector() (*Injector, error) {
	v4, err := rawSocket(unix.AF_INET)
	if err != nil {
		return nil, err
	}
	v6, err := rawSocket(unix.AF_INET6)
	if err != nil {
		v6 = -1
	}
	return &Injector{v4, v6}, nil
}

func rawSocket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, step("raw socket", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark); err != nil {
		unix.Close(fd)
		return -1, step("mark packets", err)
	}
	return fd, nil
}

// Close ends it.
func (i *Injector) Close() {
	unix.Close(i.v4)
	if i.v6 >= 0 {
		unix.Close(i.v6)
	}
}

// inject sends one empty segment from the remote end to the local one.
func (s *State) inject(flags byte, seq, ack uint32) error {
	b := packet(s, flags, seq, ack)
	fd, to := s.via.v4, unix.Sockaddr(nil)
	if local := s.Local.Addr().Unmap(); local.Is4() {
		to = &unix.SockaddrInet4{Addr: local.As4()}
	} else {
		fd, to = s.via.v6, &unix.SockaddrInet6{Addr: local.As16()}
	}
	return step("replay the peer's segment", unix.Sendto(fd, b, 0, to))
}

// packet makes it. Its window is the one the peer advertised last.
func packet(s *State, flags byte, seq, ack uint32) []byte {
	src, dst := s.Remote.Addr().Unmap(), s.Local.Addr().Unmap()
	tcp := make([]byte, 20, 32)
	binary.BigEndian.PutUint16(tcp[0:], s.Remote.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.Local.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13] = 5<<4, flags
	wnd := s.SndWnd
	if s.WScale {
		wnd >>= s.SndWScale
	}
	binary.BigEndian.PutUint16(tcp[14:], uint16(min(wnd, 0xffff)))
	if s.Timestamps { // NOP, NOP, TSopt (RFC 7323 section 3.2)
		tcp = append(tcp, unix.TCPOPT_NOP, unix.TCPOPT_NOP, unix.TCPOPT_TIMESTAMP, 10)
		tcp = binary.BigEndian.AppendUint32(tcp, s.TSRecent)
		tcp = binary.BigEndian.AppendUint32(tcp, s.clock()-uint32(s.SRTT/1000))
		tcp[12] = 8 << 4
	}
	sum := uint32(unix.IPPROTO_TCP + len(tcp))
	for _, part := range [][]byte{src.AsSlice(), dst.AsSlice(), tcp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(tcp[16:], ^uint16(sum))
	var ip []byte
	if src.Is4() { // the kernel fills in the header's checksum
		ip = make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		copy(ip[12:], src.AsSlice())
		copy(ip[16:], dst.AsSlice())
	} else {
		ip = make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, unix.IPPROTO_TCP, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
		copy(ip[8:], src.AsSlice())
		copy(ip[24:], dst.AsSlice())
	}
	return append(ip, tcp...)
}

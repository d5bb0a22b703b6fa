package broker

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
)

// SendSYN sends a bare SYN from the local to the remote end of each connection.
func (kernel) SendSYN(ns int, tuples []steer.Tuple) error {
	return netns.Do(ns, func() error {
		v4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
		if err != nil {
			return fmt.Errorf("raw socket: %w", err)
		}
		defer unix.Close(v4)
		v6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
		if err == nil {
			defer unix.Close(v6)
		}
		var first error
		for _, t := range tuples {
			if err := sendSYN(v4, v6, t); err != nil && first == nil {
				first = fmt.Errorf("SYN from %v to %v: %w", t.Local, t.Remote, err)
			}
		}
		return first
	})
}

func sendSYN(v4, v6 int, t steer.Tuple) error {
	src, dst := t.Local.Addr(), t.Remote.Addr()
	if src.Is4() != dst.Is4() {
		return unix.EINVAL
	}
	if dst.Is4() {
		return unix.Sendto(v4, synIPv4(t), 0, &unix.SockaddrInet4{Addr: dst.As4()})
	}
	return unix.Sendto(v6, synIPv6(t), 0, &unix.SockaddrInet6{Addr: dst.As16()})
}

// synIPv4 makes the packet; the kernel fills in the IP checksum (raw(7): IP_HDRINCL).
func synIPv4(t steer.Tuple) []byte {
	b := make([]byte, 20, 40)
	src, dst := t.Local.Addr().As4(), t.Remote.Addr().As4()
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(b[2:], 40)
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	return append(b, synTCP(t, src[:], dst[:])...)
}

func synIPv6(t steer.Tuple) []byte {
	b := make([]byte, 40, 60)
	src, dst := t.Local.Addr().As16(), t.Remote.Addr().As16()
	b[0], b[6], b[7] = 0x60, unix.IPPROTO_TCP, 64
	binary.BigEndian.PutUint16(b[4:], 20)
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	return append(b, synTCP(t, src[:], dst[:])...)
}

// synTCP makes the header. Its sequence number does not matter: a challenge ACK tells the right one.
func synTCP(t steer.Tuple, src, dst []byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[0:], t.Local.Port())
	binary.BigEndian.PutUint16(b[2:], t.Remote.Port())
	b[12], b[13] = 5<<4, 0x02
	binary.BigEndian.PutUint16(b[14:], 1024)
	sum := uint32(unix.IPPROTO_TCP + len(b))
	for _, part := range [][]byte{src, dst, b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[16:], ^uint16(sum))
	return b
}

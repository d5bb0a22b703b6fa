package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// AF_XDP knows no segmentation offload, but the kernel does, for packet sockets: a virtio_net_hdr in front of a packet says how
// it is to be cut (PACKET_VNET_HDR), and the device or the kernel's own code cuts it, as for the kernel's TCP. So one call
// carries up to 64 KiB, and a receiver on the same host may get them in one piece.
//
//	  Send   ──► TX ring ──► one packet, one skb, one pass through the device
//	  Burst  ──► packet socket ──► forty packets, one skb, one pass if the device can cut them

// maxBurst is what one packet may hold beside its headers: its length is a 16-bit field.
const maxBurst = 65535 - 320

// BurstSocket makes the packet socket of a VI for Bursts, in the calling thread's network namespace. It needs CAP_NET_RAW there, and
// is not to be given to anybody who has it not: it can be bound to another device. It receives nothing, and cannot be made to.
//
// Devices with several queues whose peer takes packets in by the queue they left by (veth; what virtio_net does is the host's
// affair) are refused: the packets of one connection would come by two of them.
func BurstSocket(info efvi.Info) (fd int, err error) {
	if info.Queues != 1 && info.PartialChecksum {
		return -1, fmt.Errorf("bursts on %s: it has %d queues", info.Device, info.Queues)
	}
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, fmt.Errorf("make packet socket: %w", err)
	}
	if err = prepareBursts(fd, info); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("packet socket: %w", err)
	}
	return fd, nil
}

func prepareBursts(fd int, info efvi.Info) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return fmt.Errorf("set PACKET_VNET_HDR: %w", err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		return fmt.Errorf("close its ears: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
		return fmt.Errorf("keep them closed: %w", err)
	}
	const bursts = 32 // on their way at once; a matter of speed only
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bursts<<16)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: info.Ifindex}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("ask for its address: %w", err)
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); !ok || ll.Halen != 6 || [6]byte(ll.Addr[:6]) != info.MAC {
		return fmt.Errorf("interface %d is another one here", info.Ifindex)
	}
	return nil
}

// Bursts lets the VI take bursts, by a socket that BurstSocket made and that is the VI's from here on.
func (v *VI) Bursts(fd int) {
	v.bursts = &burster{fd: fd}
	v.info.MaxBurst = maxBurst
}

// endBursts closes the socket.
func (v *VI) endBursts() error {
	if v.bursts == nil {
		return nil
	}
	fd := v.bursts.fd
	v.bursts = nil
	return unix.Close(fd)
}

// Burst is efvi.Burster.
func (v *VI) Burst(b *efvi.Burst) bool {
	if v.bursts == nil {
		return false
	}
	if v.tx.head != v.tx.shared.Load() {
		v.tx.publish()
	}
	if v.Kick() != nil { // what was sent before must not be overtaken
		return false
	}
	return v.bursts.send(b)
}

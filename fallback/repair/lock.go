package repair

import "golang.org/x/sys/unix"

// mark is on the packets that a move itself sends to the socket.
const mark = 0x51d1ce

// lock makes a socket deaf: the peer's packets are dropped as if lost, and come again, so nothing changes while the socket is read or
// filled. Packets with our mark get through.
func lock(fd int) error {
	if prog := deaf(); prog >= 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog) == nil {
		return nil
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(0xfffff000 + 20)}, // A = skb->mark (SKF_AD_OFF + SKF_AD_MARK)
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: mark},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	p := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return step("lock the socket", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &p))
}

func unlock(fd int) error {
	return step("unlock the socket", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
}

package afxdp

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// LeaveKicks says that somebody else looks at TXRing after each Flush and wakes the kernel, or that nobody does any more.
func (v *VI) LeaveKicks(left bool) { v.left = left }

// Flush shows the kernel what Send queued, and wakes it if it asks for that. It returns
// efvi.ErrBusy if the device could not take all of it now.
func (v *VI) Flush() error {
	if v.busy || v.zeroCopy && v.fill.needWakeup() {
		v.kick(unix.SYS_RECVFROM)
	}
	if v.tx.head != v.tx.shared.Load() {
		v.tx.publish()
	}
	if v.left {
		return nil
	}
	return v.Kick()
}

// Kick wakes the kernel if it has to be woken for what Flush showed it. It returns efvi.ErrBusy as Flush does.
func (v *VI) Kick() error {
	// A copy-mode socket stops when its budget for one call is used up, and is called again as
	// long as that makes the ring shorter.
	for left := ^uint32(0); ; {
		if v.tx.idle() {
			return nil
		}
		if !v.tx.needWakeup() {
			return nil
		}
		now := v.tx.head - v.tx.peer.Load()
		if now >= left {
			return efvi.ErrBusy
		}
		left = now
		switch errno := v.kick(unix.SYS_SENDTO); errno {
		case 0, unix.EAGAIN, unix.EBUSY, unix.ENOBUFS, unix.EINTR:
		default:
			return errno
		}
	}
}

// kick is sendto or recvfrom with nothing in it: the call itself is the message.
func (v *VI) kick(call uintptr) unix.Errno {
	_, _, errno := unix.Syscall6(call, uintptr(v.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// Stats are the socket's own counters (XDP_STATISTICS), in packets or descriptors.
type Stats struct {
	RxDropped     uint64 `json:"rx_dropped"`      // lost for other reasons than the two below
	RxRingFull    uint64 `json:"rx_ring_full"`    // lost because we did not take packets in time
	FillRingEmpty uint64 `json:"fill_ring_empty"` // lost because no frame was posted
	RxInvalid     uint64 `json:"rx_invalid"`      // fill entries that named no frame
	TxInvalid     uint64 `json:"tx_invalid"`      // TX descriptors that the kernel refused
	TxRingEmpty   uint64 `json:"tx_ring_empty"`   // times the kernel found nothing to send
}

// Stats asks the kernel for the socket's counters.
func (v *VI) Stats() (Stats, error) { return SocketStats(v.fd) }

// SocketStats is Stats for whoever else holds the socket.
func SocketStats(fd int) (Stats, error) {
	st, err := statistics(fd)
	if err != nil {
		return Stats{}, err
	}
	return Stats{
		RxDropped: st.Rx_dropped, RxRingFull: st.Rx_ring_full, FillRingEmpty: st.Rx_fill_ring_empty_descs,
		RxInvalid: st.Rx_invalid_descs, TxInvalid: st.Tx_invalid_descs, TxRingEmpty: st.Tx_ring_empty_descs,
	}, nil
}

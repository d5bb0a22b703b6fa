package afxdp

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// Times of packets lie in the frame, in front of the packet: what an XDP program wrote there that asked the driver (package nic), and what
// the kernel writes into the request of one that is sent (struct xsk_tx_metadata, Linux 6.8, launch_time 6.14):
//
//	received   off-8                         off
//	           | time, 0: none               | packet
//	sent       off-24          off-16                              off-8        off
//	           | flags         | checksum request, later the time  | launch time | packet
const stampSize = 8

var _ efvi.Timed = (*VI)(nil)

// Times is efvi.Timed.
func (v *VI) Times() efvi.Times { return v.info.Times }

// timesOf is what a queue gives of what was asked for. In copy mode the kernel itself stamps what is sent, when the packet is freed, and
// nobody holds a packet back.
func timesOf(asked efvi.Times, l Layout) efvi.Times {
	if l.Parts { // the time is in front of the first part only
		asked.RX = efvi.NoClock
	}
	switch {
	case !l.TxMetadata:
		asked.TX, asked.Launch = efvi.NoClock, false
	case !l.ZeroCopy:
		asked.TX, asked.Launch = efvi.KernelClock, false
	}
	return asked
}

// ReceivedAt is efvi.Timed.
func (v *VI) ReceivedAt(e efvi.Event) (ns uint64, ok bool) {
	if v.info.Times.RX == efvi.NoClock || e.Kind != efvi.EventRX || e.Off < stampSize {
		return 0, false
	}
	ns = binary.NativeEndian.Uint64(v.mem.Frame(e.Frame)[e.Off-stampSize:])
	return ns, ns != 0
}

// SendTimed is efvi.Timed.
func (v *VI) SendTimed(frame, off, n uint32, launch uint64, stamp bool) bool {
	t := v.info.Times
	if stamp && t.TX == efvi.NoClock || launch != 0 && !t.Launch || v.tx.room(1) == 0 {
		return false
	}
	var flags uint64
	if stamp {
		flags |= unix.XDP_TXMD_FLAGS_TIMESTAMP
	}
	if launch != 0 {
		flags |= unix.XDP_TXMD_FLAGS_LAUNCH_TIME
	}
	d := desc{addr: uint64(frame)*efvi.FrameSize + uint64(off), len: n}
	if flags != 0 {
		m, native := v.mem.Frame(frame)[off-efvi.SumRoom:off], binary.NativeEndian
		native.PutUint64(m, flags)
		native.PutUint64(m[8:], 0)
		native.PutUint64(m[16:], launch)
		d.options = unix.XDP_TX_METADATA
	}
	v.tx.push(d)
	return true
}

// SentAt is efvi.Timed.
func (v *VI) SentAt(frame, off uint32) (ns uint64, ok bool) {
	if v.info.Times.TX == efvi.NoClock || off < efvi.SumRoom {
		return 0, false
	}
	ns = binary.NativeEndian.Uint64(v.mem.Frame(frame)[off-efvi.SumRoom+8:])
	return ns, ns != 0
}

// Times is what a driver says of times. A device that has them on paper only is found out packet by packet.
func (f Features) Times() (t efvi.Times) {
	const timestamp, launch = 1 << 0, 1 << 2 // places in rxNames and txNames
	if f.RX&timestamp != 0 {
		t.RX = efvi.DeviceClock
	}
	if f.TX&timestamp != 0 {
		t.TX = efvi.DeviceClock
	}
	t.Launch = f.TX&launch != 0
	return t
}

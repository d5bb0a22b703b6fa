package loop

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/efvi"
)

// Times lie in the frame in front of the packet, as afxdp has them. A sent one has them only if it was sent by SendTimed.
const (
	fromWish   = 24 // wish: wantStamp, or 0
	fromTime   = 16 // then the time it left
	fromLaunch = 8
	fromStamp  = 8 // of a received one

	wantStamp = 1
)

// timed marks an event of the transmit ring that SendTimed made.
const timed = efvi.EventKind(1 << 16)

var _ efvi.Timed = (*VI)(nil)

// Times is efvi.Timed.
func (v *VI) Times() efvi.Times {
	if v.clock == nil {
		return efvi.Times{}
	}
	return efvi.Times{RX: efvi.DeviceClock, TX: efvi.DeviceClock, Launch: true}
}

// SendTimed is efvi.Timed. A packet whose time has not come keeps those behind it back, too, until a Flush after it.
func (v *VI) SendTimed(frame, off, n uint32, launch uint64, stamp bool) bool {
	if v.clock == nil && (launch != 0 || stamp) {
		return false
	}
	if !v.tx.push(efvi.Event{Kind: efvi.EventTX | timed, Frame: frame, Off: off, Len: n}) {
		return false
	}
	wish := uint64(0)
	if stamp {
		wish = wantStamp
	}
	v.put(frame, off-fromWish, wish)
	v.put(frame, off-fromTime, 0)
	v.put(frame, off-fromLaunch, launch)
	return true
}

// SentAt is efvi.Timed.
func (v *VI) SentAt(frame, off uint32) (ns uint64, ok bool) {
	if v.clock == nil || off < fromWish {
		return 0, false
	}
	ns = v.get(frame, off-fromTime)
	return ns, ns != 0
}

// ReceivedAt is efvi.Timed.
func (v *VI) ReceivedAt(e efvi.Event) (ns uint64, ok bool) {
	if v.clock == nil || e.Kind != efvi.EventRX {
		return 0, false
	}
	return v.get(e.Frame, e.Off-fromStamp), true
}

func (v *VI) early(e efvi.Event) bool {
	return e.Kind&timed != 0 && v.clock != nil && v.get(e.Frame, e.Off-fromLaunch) > v.clock()
}

func (v *VI) stampSent(e efvi.Event) {
	if e.Kind&timed != 0 && v.clock != nil && v.get(e.Frame, e.Off-fromWish) == wantStamp {
		v.put(e.Frame, e.Off-fromTime, v.clock())
	}
}

func (v *VI) stampReceived(e efvi.Event) {
	if v.clock != nil {
		v.put(e.Frame, e.Off-fromStamp, v.clock())
	}
}

func (v *VI) put(frame, at uint32, n uint64) {
	binary.NativeEndian.PutUint64(v.mem.Frame(frame)[at:], n)
}

func (v *VI) get(frame, at uint32) uint64 {
	return binary.NativeEndian.Uint64(v.mem.Frame(frame)[at:])
}

package afxdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/efvi"
)

// VI moves packets through the mapped rings of a queue. It implements efvi.VI.
type VI struct {
	fd       int
	asked    efvi.Info // as given to Map
	info     efvi.Info // as it is
	maps     []mapping
	fill     producer[uint64]
	comp     consumer[uint64]
	rx       consumer[desc]
	tx       producer[desc]
	zeroCopy bool
	busy     bool // calls poll the device: each Flush makes one
	left     bool // kicks are somebody else's: see LeaveKicks
	mem      efvi.Memory
	bursts   *burster
}

var (
	_ efvi.VI     = (*VI)(nil)
	_ efvi.Summer = (*VI)(nil)

	_ efvi.Gatherer = (*VI)(nil)
)

// Map maps the rings of the socket fd over mem, which must be the memory that the socket
// registered. It needs no privilege. An MTU over l.MaxMTU becomes that; info.TxChecksum stays if the device can do it. The VI owns fd from here on, unless Map fails.
func Map(fd int, l Layout, mem efvi.Memory, info efvi.Info) (*VI, error) {
	if len(mem.Bytes) == 0 || len(mem.Bytes)%efvi.FrameSize != 0 {
		return nil, fmt.Errorf("map queue: memory of %d bytes is no multiple of %d", len(mem.Bytes), efvi.FrameSize)
	}
	v := &VI{fd: fd, asked: info, mem: mem}
	v.Bound(l)
	err := errors.Join(
		mapInto[uint64](v, "fill", unix.XDP_UMEM_PGOFF_FILL_RING, l.Fill, func(m mapping) { v.fill = newProducer[uint64](m) }),
		mapInto[uint64](v, "completion", unix.XDP_UMEM_PGOFF_COMPLETION_RING, l.Completion, func(m mapping) { v.comp = newConsumer[uint64](m) }),
		mapInto[desc](v, "RX", unix.XDP_PGOFF_RX_RING, l.RX, func(m mapping) { v.rx = newConsumer[desc](m) }),
		mapInto[desc](v, "TX", unix.XDP_PGOFF_TX_RING, l.TX, func(m mapping) { v.tx = newProducer[desc](m) }),
	)
	if err != nil {
		return nil, errors.Join(err, v.unmap())
	}
	return v, nil
}

// Bound tells what became of a socket that was Unbound when it was mapped.
func (v *VI) Bound(l Layout) {
	v.info, v.zeroCopy, v.busy = v.asked, l.ZeroCopy, l.BusyPoll
	// In copy mode the kernel finishes the sum itself for a device that can't. A driver in zero-copy mode that can't sends it as it is.
	v.info.TxChecksum = v.asked.TxChecksum && l.TxMetadata && !l.ZeroCopy
	v.info.Times = timesOf(v.asked.Times, l)
	v.info.ZeroCopy, v.info.MTU = l.ZeroCopy, min(v.asked.MTU, l.MaxMTU())
}

// mapInto maps one ring, remembers the mapping for Close, and gives it to use.
func mapInto[T any](v *VI, name string, pgoff int64, r Ring, use func(mapping)) error {
	m, err := mapRing[T](v.fd, pgoff, r)
	if err != nil {
		return fmt.Errorf("map %s ring: %w", name, err)
	}
	if pgoff == unix.XDP_PGOFF_RX_RING || pgoff == unix.XDP_PGOFF_TX_RING {
		if err := m.watch(); err != nil {
			_ = unix.Munmap(m.mem)
			return fmt.Errorf("pages for the %s ring's end: %w", name, err)
		}
	}
	v.maps = append(v.maps, m)
	use(m)
	return nil
}

func (v *VI) unmap() (err error) {
	for _, m := range v.maps {
		if m.empty != nil {
			err = errors.Join(err, m.retire())
			continue
		}
		err = errors.Join(err, unix.Munmap(m.mem))
	}
	v.maps = nil
	return err
}

// Info tells what the VI is bound to.
func (v *VI) Info() efvi.Info { return v.info }

// FD is the socket; it polls readable when the RX ring holds packets.
func (v *VI) FD() int { return v.fd }

// Post gives empty frames to the fill ring and says how many were taken.
func (v *VI) Post(frames []uint32) int {
	n := v.fill.room(uint32(len(frames)))
	if n == 0 {
		return 0
	}
	for _, f := range frames[:n] {
		v.fill.push(uint64(f) * efvi.FrameSize)
	}
	v.fill.publish()
	return int(n)
}

// Poll takes completions, up to half of ev, then packets.
func (v *VI) Poll(ev []efvi.Event) int {
	n := v.pollTX(ev[:(len(ev)+1)/2])
	return n + v.pollRX(ev[n:])
}

func (v *VI) pollTX(ev []efvi.Event) int {
	n := int(v.comp.ready(uint32(len(ev))))
	if n == 0 {
		return 0
	}
	for i := range ev[:n] {
		ev[i] = efvi.Event{Kind: efvi.EventTX, Frame: uint32(v.comp.pop() / efvi.FrameSize)}
	}
	v.comp.release()
	return n
}

func (v *VI) pollRX(ev []efvi.Event) int {
	n := int(v.rx.ready(uint32(len(ev))))
	if n == 0 {
		return 0
	}
	for i := range ev[:n] {
		ev[i] = received(v.rx.pop())
	}
	// A packet whose end is not there, or has no room in ev, is left for the next call.
	for n > 0 && ev[n-1].Kind == efvi.EventPart {
		n--
		v.rx.back(1)
	}
	v.rx.release()
	return n
}

// received turns an RX descriptor into an event.
func received(d desc) efvi.Event {
	e := efvi.Event{Kind: efvi.EventRX, Frame: uint32(d.addr / efvi.FrameSize), Off: uint32(d.addr % efvi.FrameSize), Len: d.len}
	if e.Len > efvi.FrameSize-e.Off {
		return efvi.Event{Kind: efvi.EventDiscard, Frame: e.Frame}
	}
	if d.options&unix.XDP_PKT_CONTD != 0 {
		e.Kind = efvi.EventPart
	}
	return e
}

// Send queues n bytes at off in frame; false means the TX ring is full. The kernel sees it at the
// next Flush.
func (v *VI) Send(frame, off, n uint32) bool {
	if v.tx.room(1) == 0 {
		return false
	}
	v.tx.push(desc{addr: uint64(frame)*efvi.FrameSize + uint64(off), len: n})
	return true
}

// SendSum is efvi.Summer: the request lies in front of the packet (struct xsk_tx_metadata).
//
//	off-24            off-16       off-14        off
//	| flags (64 bits) | csum_start | csum_offset | unused | packet
func (v *VI) SendSum(frame, off, n uint32, start, field uint16) bool {
	if v.tx.room(1) == 0 {
		return false
	}
	v.askSum(frame, off, start, field)
	v.tx.push(desc{addr: uint64(frame)*efvi.FrameSize + uint64(off), len: n, options: unix.XDP_TX_METADATA})
	return true
}

func (v *VI) askSum(frame, off uint32, start, field uint16) {
	m, native := v.mem.Frame(frame)[off-efvi.SumRoom:off], binary.NativeEndian
	native.PutUint64(m, unix.XDP_TXMD_FLAGS_CHECKSUM)
	native.PutUint16(m[8:], start)
	native.PutUint16(m[10:], field)
}

// Gather is efvi.Gatherer.
func (v *VI) Gather(parts []efvi.Part, start, field uint16) bool {
	n := uint32(len(parts))
	if v.tx.room(n) < n {
		return false
	}
	options := uint32(0)
	if field > 0 {
		v.askSum(parts[0].Frame, parts[0].Off, start, field)
		options = unix.XDP_TX_METADATA
	}
	for i, p := range parts {
		if i < len(parts)-1 {
			options |= unix.XDP_PKT_CONTD
		}
		v.tx.push(desc{addr: uint64(p.Frame)*efvi.FrameSize + uint64(p.Off), len: p.N, options: options})
		options = 0
	}
	return true
}

// Close unmaps the rings and closes the socket.
func (v *VI) Close() error {
	if v.fd < 0 {
		return nil
	}
	err := errors.Join(v.unmap(), v.endBursts(), unix.Close(v.fd))
	v.fd = -1
	if err != nil {
		return fmt.Errorf("close VI: %w", err)
	}
	return nil
}

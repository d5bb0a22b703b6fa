// Package watch shows the packets that pass a VI to somebody: the part that trace (a file) and mirror (another process) have in common.
package watch

import "github.com/sluice-net/sluice/efvi"

// Direction of a packet, as in the epb_flags option of pcapng.
type Direction uint32

const (
	Inbound  Direction = 1
	Outbound Direction = 2
)

// Sink is who looks. Packet gets an Ethernet frame, which is good until it returns, and its time in nanoseconds since 1970.
type Sink interface {
	Packet(now int64, dir Direction, frame []byte)
}

// VI is a VI that is being looked at. It takes the place of the one it wraps only while somebody looks, so that it costs nothing else.
type VI struct {
	efvi.VI
	mem   efvi.Memory
	to    Sink
	clock func() int64
	whole []byte // a packet whose sum the device is to finish, with the sum
	in    efvi.Whole
}

var (
	_ efvi.VI      = (*VI)(nil)
	_ efvi.Summer  = (*VI)(nil)
	_ efvi.Burster = (*VI)(nil)

	_ efvi.Gatherer = (*VI)(nil)
)

// Wrap shows the packets of vi, whose frames lie in mem, to a sink. clock tells the time in nanoseconds since 1970: packets that came
// in with one call of Poll share a time.
func Wrap(vi efvi.VI, mem efvi.Memory, to Sink, clock func() int64) *VI {
	return &VI{VI: vi, mem: mem, to: to, clock: clock}
}

// Poll shows the packets received.
func (v *VI) Poll(ev []efvi.Event) int {
	n := v.VI.Poll(ev)
	var now int64
	for _, e := range ev[:n] {
		p := v.in.Add(v.mem, e)
		if p == nil {
			continue
		}
		if now == 0 {
			now = v.clock()
		}
		v.to.Packet(now, Inbound, p)
	}
	return n
}

// Send shows a packet when it is queued.
func (v *VI) Send(frame, off, n uint32) bool {
	if !v.VI.Send(frame, off, n) {
		return false
	}
	v.to.Packet(v.clock(), Outbound, v.mem.Frame(frame)[off:off+n])
	return true
}

// SendSum shows the packet with the sum that its device will finish; the wrapped VI must be an efvi.Summer.
func (v *VI) SendSum(frame, off, n uint32, start, field uint16) bool {
	if !v.VI.(efvi.Summer).SendSum(frame, off, n, start, field) {
		return false
	}
	v.whole = append(v.whole[:0], v.mem.Frame(frame)[off:off+n]...)
	finish(v.whole, int(start), int(start)+int(field))
	v.to.Packet(v.clock(), Outbound, v.whole)
	return true
}

// Gather shows the packet as Send and SendSum do; the wrapped VI must be an efvi.Gatherer.
func (v *VI) Gather(parts []efvi.Part, start, field uint16) bool {
	if !v.VI.(efvi.Gatherer).Gather(parts, start, field) {
		return false
	}
	v.whole = v.whole[:0]
	for _, p := range parts {
		v.whole = append(v.whole, v.mem.Frame(p.Frame)[p.Off:p.Off+p.N]...)
	}
	if field > 0 {
		finish(v.whole, int(start), int(start)+int(field))
	}
	v.to.Packet(v.clock(), Outbound, v.whole)
	return true
}

// tcpChecksum is where the field lies in a TCP header.
const tcpChecksum = 16

// Burst shows the run in one piece, as tcpdump sees what the kernel leaves to segmentation offload. Only a VI whose Info has a MaxBurst is asked.
func (v *VI) Burst(b *efvi.Burst) bool {
	if !v.VI.(efvi.Burster).Burst(b) {
		return false
	}
	v.whole = append(v.whole[:0], b.Head...)
	for _, p := range b.Payload {
		v.whole = append(v.whole, p...)
	}
	finish(v.whole, b.TCP, b.TCP+tcpChecksum)
	v.to.Packet(v.clock(), Outbound, v.whole)
	return true
}

// finish is the Internet checksum (RFC 1071) of what lies from start on, in the field that holds the pseudo header's.
func finish(p []byte, start, at int) {
	sum := uint64(0)
	b := p[start:]
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) > 0 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	p[at], p[at+1] = ^byte(sum>>8), ^byte(sum)
}

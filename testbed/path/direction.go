package path

import "math/rand/v2"

// slots is how many packets of one direction may be on their way; what comes while all are taken is lost in the socket.
const slots = 16384

// batch is how many packets one system call takes.
const batch = 64

// direction carries packets from one socket to another.
type direction struct {
	in, out int
	link    Link
	rng     *rand.Rand
	size    int
	mem     []byte
	free    []int32
	wait    waiting // on their way, by time
	seq     uint64
	idleAt  int64   // when the bottleneck has sent all it holds
	inside  []int64 // when each packet in the bottleneck leaves it
	msgs    messages
}

type counts [4]uint64

func (c *counts) add(o counts) {
	for i := range c {
		c[i] += o[i]
	}
}

func newDirection(in, out, mtu int) *direction {
	d := &direction{in: in, out: out, size: mtu + 18}
	d.mem = make([]byte, slots*d.size)
	for i := range int32(slots) {
		d.free = append(d.free, i)
	}
	return d
}

func (d *direction) set(l Link, seed uint64) {
	d.link, d.rng = l, rand.New(rand.NewPCG(seed, 0x9a7))
}

func (d *direction) slot(i int32) []byte { return d.mem[int(i)*d.size:][:d.size] }

// receive takes a batch and gives each packet its time to leave.
func (d *direction) receive() (c counts) {
	n := min(batch, len(d.free))
	if n == 0 {
		return c
	}
	taken := d.free[len(d.free)-n:]
	got := d.msgs.receive(d.in, n, func(i int) []byte { return d.slot(taken[i]) })
	now := nanotime() // a clock read before would let packets leave early that came while this thread had no processor
	var back [batch]int32
	kept := 0
	var twice [][]byte
	for i := range got {
		at, why := d.pass(now, d.msgs.length(i))
		if why != forwarded {
			c[why]++
			back[kept] = taken[i]
			kept++
			continue
		}
		frame := d.slot(taken[i])[:d.msgs.length(i)]
		if d.link.Corrupt > 0 && d.rng.Float64() < d.link.Corrupt {
			frame[d.rng.IntN(len(frame))] ^= 1 << d.rng.IntN(8)
		}
		d.queue(at, taken[i], len(frame))
		if d.link.Dup > 0 && d.rng.Float64() < d.link.Dup {
			twice = append(twice, frame)
		}
	}
	rest := append([]int32(nil), taken[got:]...)
	d.free = append(append(d.free[:len(d.free)-n], rest...), back[:kept]...)
	for _, frame := range twice {
		if last := len(d.free) - 1; last >= 0 {
			copy(d.slot(d.free[last]), frame)
			d.queue(now+int64(d.link.Delay), d.free[last], len(frame))
			d.free = d.free[:last]
		}
	}
	return c
}

func (d *direction) queue(at int64, slot int32, size int) {
	d.seq++
	d.wait.push(packet{at: at, seq: d.seq, slot: slot, size: int32(size)})
}

// pass decides about a packet: when it leaves, or why it does not.
func (d *direction) pass(now int64, size int) (at int64, why int) {
	l := &d.link
	at = now
	if l.Rate > 0 {
		for len(d.inside) > 0 && d.inside[0] <= now {
			d.inside = d.inside[1:]
		}
		if l.Queue > 0 && len(d.inside) >= l.Queue {
			return 0, queueFull
		}
		const framing = 24 // preamble, checksum, gap
		at = max(at, d.idleAt) + int64(size+framing)*8*1e9/l.Rate
		d.idleAt = at
		d.inside = append(d.inside, at)
	}
	if l.Loss > 0 && d.rng.Float64() < l.Loss {
		return 0, lost
	}
	at += int64(l.Delay)
	if l.Reorder > 0 && d.rng.Float64() < l.Reorder {
		at += int64(l.Hold)
	}
	return at, forwarded
}

// send lets go what is due.
func (d *direction) send(now int64) (c counts) {
	for len(d.wait) > 0 && d.wait[0].at <= now {
		var due [batch]packet
		n := 0
		for n < batch && len(d.wait) > 0 && d.wait[0].at <= now {
			due[n] = d.wait.pop()
			if now-due[n].at > 1e6 {
				c[late]++
			}
			n++
		}
		c[forwarded] += uint64(n)
		d.msgs.send(d.out, n, func(i int) []byte { return d.slot(due[i].slot)[:due[i].size] })
		for _, p := range due[:n] {
			d.free = append(d.free, p.slot)
		}
	}
	return c
}

// packet is one on its way.
type packet struct {
	at   int64
	seq  uint64 // keeps those of one time in order
	slot int32
	size int32
}

func (p *packet) before(q *packet) bool { return p.at < q.at || p.at == q.at && p.seq < q.seq }

// waiting is a binary heap.
type waiting []packet

func (w *waiting) push(p packet) {
	h := append(*w, p)
	i := len(h) - 1
	for i > 0 && p.before(&h[(i-1)/2]) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = p
	*w = h
}

func (w *waiting) pop() packet {
	h := *w
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	i := 0
	for len(h) > 0 {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].before(&h[c]) {
			c++
		}
		if !h[c].before(&last) {
			break
		}
		h[i] = h[c]
		i = c
	}
	if len(h) > 0 {
		h[i] = last
	}
	*w = h
	return top
}

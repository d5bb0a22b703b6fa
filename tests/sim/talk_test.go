package sim

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// talk is a session as it runs: the programs on both ends of one connection. Each sends its bytes, then a FIN, and closes
// when it has the other's, unless an operation of the plan says otherwise.
type talk struct {
	w      *world
	s      *session
	port   uint16
	end    [2]end
	health *health
	foe    bool // the end of side 0 is a script
	rude   bool // an end closed or aborted before it was over: the other may see a reset
}

// end is one program and its socket.
type end struct {
	sock      *usock.Socket // nil: not yet
	out       content
	total     int // bytes to send
	sent, got int
	shut, eof bool
	gone      bool  // the program has closed
	err       error // what it was told
	progress  int64 // when it last got something done
	ops       []event
	noRead    int64 // until then
	noWrite   int64
	corked    int64
	frozen    int64
	flags     int // of the next send
	keepalive int64
}

// content is a byte sequence that any place of is known.
type content uint64

func (c content) at(i int) byte {
	x := (uint64(i)>>3 + uint64(c)) * 0x9e3779b97f4a7c15
	return byte(x >> (8 * (uint(i)&3 + 3)))
}

func (c content) fill(b []byte, from int) {
	for i := range b {
		b[i] = c.at(from + i)
	}
}

// differs is the first index at which b is not the content from there on, -1 if there is none.
func (c content) differs(b []byte, from int) int {
	for i, v := range b {
		if v != c.at(from+i) {
			return i
		}
	}
	return -1
}

func newTalk(w *world, s *session, i int) *talk {
	k := &talk{w: w, s: s, port: uint16(40000 + i)}
	for side := range k.end {
		e := &k.end[side]
		e.out, e.total = content(w.rng.Uint64()), s.Bytes[side]
		for _, op := range s.Ops {
			if op.Side == side {
				op.At += second + s.At
				e.ops = append(e.ops, op)
			}
		}
		slices.SortStableFunc(e.ops, func(a, b event) int { return int(min(max(a.At-b.At, -1), 1)) })
	}
	return k
}

// open connects when it is time.
func (k *talk) open() {
	a, b := k.w.host[k.s.From], k.w.host[1-k.s.From]
	e := &k.end[k.s.From]
	if e.sock != nil || k.foe && k.s.From == 0 || k.w.now < second+k.s.At {
		return
	}
	s, err := a.Connect(k.w.now, netip.AddrPortFrom(a.addr, k.port), netip.AddrPortFrom(b.addr, 80))
	if err != nil {
		k.w.t.Fatalf("connect: %v", err)
	}
	k.give(e, s)
}

// give makes a socket the end's.
func (k *talk) give(e *end, s *usock.Socket) {
	e.sock, e.progress = s, k.w.now
	k.words(e)[s] = s.Ready()
	k.set(e, solSocket, soOOBInline, 1)
}

// ready is what poll(2) would tell the program.
func (k *talk) ready(e *end) uint32 { return k.words(e)[e.sock] }

func (k *talk) words(e *end) map[*usock.Socket]uint32 {
	if e == &k.end[0] {
		return k.w.host[0].words
	}
	return k.w.host[1].words
}

// turn lets both programs do what they can.
func (k *talk) turn() {
	k.open()
	for side := range k.end {
		e := &k.end[side]
		if e.sock == nil || e.gone || !k.wake(side, e) {
			continue
		}
		err := k.read(e, &k.end[1-side])
		if err == nil {
			err = k.write(e)
		}
		switch {
		case err != nil:
			e.err = err
			k.blame(side, err)
			k.close(e)
		case e.eof && e.shut:
			k.close(e)
		case k.hopeless(e, &k.end[1-side]):
			e.gone = true
			e.sock.Abort(k.w.now)
		}
	}
}

func (k *talk) close(e *end) {
	e.gone = true
	e.sock.Close(k.w.now)
}

// wake does the operations that are due and says whether the program runs at all.
func (k *talk) wake(side int, e *end) bool {
	now := k.w.now
	if e.frozen != 0 && e.frozen <= now {
		e.sock.Thaw(now)
		k.w.watch.moved(side, e.sock)
		e.frozen = 0
		delete(k.health.still, e.sock)
	}
	if e.corked != 0 && e.corked <= now && e.frozen == 0 {
		e.corked = 0
		k.set(e, solTCP, tcpCork, 0)
	}
	for len(e.ops) > 0 && e.ops[0].At <= now && e.frozen == 0 && !e.gone {
		op := e.ops[0]
		e.ops = e.ops[1:]
		k.do(side, e, &op)
	}
	return e.frozen == 0 && !e.gone
}

// hopeless says that nothing will come any more: the other end is gone without a word that arrived, as after a crash.
func (k *talk) hopeless(e, other *end) bool {
	if e.progress > k.w.now-100*second {
		return false
	}
	return other.gone && (k.rude || other.err != nil) || other.sock == nil
}

func (k *talk) write(e *end) error {
	var buf [16 << 10]byte
	for e.sent < e.total && k.w.now >= e.noWrite && k.ready(e)&usock.PollOut != 0 {
		b := buf[:min(k.chunk(), e.total-e.sent)]
		if e.flags&msgOOB != 0 {
			b = b[:1]
		}
		e.out.fill(b, e.sent)
		n, err := e.sock.Send(k.w.now, [][]byte{b}, e.flags)
		e.flags = 0
		if errors.Is(err, tcp.ErrAgain) {
			break
		}
		if err != nil {
			return err
		}
		e.sent += n
		e.progress = k.w.now
	}
	if e.sent == e.total && !e.shut && e.sock.State() != tcp.SynSent {
		e.shut = true
		return e.sock.Shutdown(k.w.now, 1)
	}
	return nil
}

func (k *talk) chunk() int {
	if k.s.Chunk >= 16<<10 {
		return 16 << 10
	}
	return 1 + k.w.rng.IntN(k.s.Chunk)
}

func (k *talk) read(e, from *end) error {
	var buf [16 << 10]byte
	for !e.eof && k.w.now >= e.noRead && k.ready(e)&usock.PollIn != 0 {
		b := buf[:k.chunk()]
		n, _, err := e.sock.Recv(k.w.now, [][]byte{b}, 0)
		if errors.Is(err, tcp.ErrAgain) {
			k.w.t.Fatalf("POLLIN, but recv would block after %d bytes", e.got)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			e.eof = true
			if e.got != from.sent {
				k.w.t.Fatalf("end of stream after %d of %d bytes", e.got, from.sent)
			}
		}
		if i := from.out.differs(b[:n], e.got); i >= 0 {
			k.w.t.Fatalf("byte %d is %#x, was sent as %#x", e.got+i, b[i], from.out.at(e.got+i))
		}
		e.got += n
		e.progress = k.w.now
		if e.got > from.sent {
			k.w.t.Fatalf("%d bytes came of %d", e.got, from.sent)
		}
	}
	if e.eof && k.ready(e)&usock.PollErr != 0 { // a writer learns of a reset by its next write; one that only waits, by this
		return e.sock.TakeError()
	}
	return nil
}

// alarm is when the programs want to run next, 0 for whenever something happens.
func (k *talk) alarm() (at int64) {
	sooner := func(t int64) {
		if t > k.w.now && (at == 0 || t < at) {
			at = t
		}
	}
	if a := &k.end[k.s.From]; k.foe && k.end[1].sock == nil {
		sooner(200*second + 1)
	} else if a.sock == nil {
		sooner(second + k.s.At)
	} else if a.gone {
		sooner(a.progress + 200*second + 1)
	}
	for side := range k.end {
		e := &k.end[side]
		if e.sock == nil || e.gone {
			continue
		}
		for _, t := range [...]int64{e.noRead, e.noWrite, e.corked, e.frozen, e.progress + 100*second + 1} {
			sooner(t)
		}
		if len(e.ops) > 0 {
			sooner(e.ops[0].At)
		}
	}
	return at
}

// over says whether both programs have finished.
func (k *talk) over() bool {
	if k.foe {
		return k.end[1].gone || k.end[1].sock == nil && k.w.now > 200*second
	}
	a, b := &k.end[k.s.From], &k.end[1-k.s.From]
	return a.gone && (b.gone || b.sock == nil && k.w.now > a.progress+200*second)
}

// check is the verdict at the end: without rudeness and without an error every byte has come.
func (k *talk) check() {
	a, b := &k.end[0], &k.end[1]
	if k.rude || a.err != nil || b.err != nil || a.sock == nil || b.sock == nil {
		return
	}
	if a.got != b.total || b.got != a.total {
		k.w.t.Fatalf("connection %d: %d of %d bytes came one way, %d of %d the other", k.port, b.got, a.total, a.got, b.total)
	}
}

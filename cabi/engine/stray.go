package engine

import (
	"time"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
)

const (
	// strayPatience is how long a flow must come again and again before a reset answers it. Its owner may have it half open only, and
	// be busy: the table that others see has established connections.
	strayPatience = int64(3 * time.Second)
	// strayForget is when a flow that was not seen any more counts as new.
	strayForget = int64(60 * time.Second)
	// maxStrays is how many flows are asked for in a second.
	maxStrays = 200
)

// strays are flows whose packets came here though no connection of ours is theirs: a peer's packets may change their queue in
// mid-life (the kernel takes a new hash after each timeout), and a reset from here would end a connection of another process.
type strays struct {
	seen  [64]stray
	next  int
	asked int // in the second since since
	since int64
}

type stray struct {
	flow        tcp.Flow
	first, last int64
}

// sighted returns when a flow was first seen, and notes that it is seen now.
func (t *strays) sighted(now int64, f *tcp.Flow) int64 {
	for i := range t.seen {
		if s := &t.seen[i]; s.flow == *f && now-s.last < strayForget {
			s.last = now
			return s.first
		}
	}
	t.seen[t.next] = stray{*f, now, now}
	t.next = (t.next + 1) % len(t.seen)
	return now
}

// mayAsk bounds the questions: a flood of such packets is dropped unasked.
func (t *strays) mayAsk(now int64) bool {
	if now-t.since > int64(time.Second) {
		t.since, t.asked = now, 0
	}
	t.asked++
	return t.asked <= maxStrays
}

// Astray gives a SYN to the kernel, which has the listener, too, and all devices.
func (r registry) Astray(syn []byte) {
	if now := nanotime(); r.e.strays.mayAsk(now) {
		r.e.tell(now, proto.OpSYN, proto.SYN{Packet: syn})
	}
}

// Stray asks the broker whose the flow is; an owner then hands it to the kernel. True: no reset must be sent. While a broker that died has no
// successor nobody can say, and the queue may have come here in the middle of another process' handshakes.
func (r registry) Stray(f *tcp.Flow) bool {
	e, now := r.e, nanotime()
	if e.link.client == nil && e.link.lostAt == 0 { // there is nobody else
		return false
	}
	first := e.strays.sighted(now, f)
	if e.link.client == nil || !e.strays.mayAsk(now) {
		return e.link.client != nil || now-first < strayPatience
	}
	var o proto.Owned
	_, err := e.call(now, proto.OpStray, proto.Stray{Local: plain(f.Local), Remote: plain(f.Remote)}, nil, &o)
	if err == nil && o.Owned {
		e.count(proto.CountStrays)
		return true
	}
	return (err != nil || !o.Free) && now-first < strayPatience
}

// whose tells the broker whether a flow is ours: another process gets its segments.
func (e *Engine) whose(now int64, p *proto.Packet) error {
	var r proto.Stray
	if err := p.Into(&r); err != nil {
		return err
	}
	e.answerWith(now, p, proto.Owned{Owned: e.plane != nil && e.plane.stack.Has(tcp.Flow{Local: r.Local, Remote: r.Remote})})
	return nil
}

package engine

import (
	"github.com/sluice-net/sluice/broker/proto"
)

const (
	// budget is how many events one turn takes, so that a call's time is bounded.
	budget = 512
	// lookEvery is how often a busy engine looks for what the broker and the kernel's tables have to tell. An idle one looks at once, since
	// it was woken by them.
	lookEvery = int64(1e6)
)

// turn is one round: packets, timers, the broker, routes. It returns how much there was to do.
func (e *Engine) turn(now int64) int {
	n := 0
	if e.stopped {
		return 0
	}
	if e.plane != nil {
		n = e.plane.stack.Poll(now, budget)
	}
	due := e.nextLook
	if e.plain.caught { // a look here stands between the next segment and a program that waits for it: no more than a hundredth of them
		due += 3 * lookEvery
	}
	if n == 0 && !e.plain.caught || now >= due {
		e.nextLook = now + lookEvery
		n += e.look(now)
	}
	e.sh.Turns++
	e.turned = now
	return n
}

// overdue takes a turn for a program that makes calls and never waits.
func (e *Engine) overdue(now int64) {
	if now-e.turned >= lookEvery {
		e.turn(now)
	}
}

// look does what is not packets.
func (e *Engine) look(now int64) int {
	n := 0
	if e.routes.Process() {
		n++
		e.relink()
	}
	if len(e.leaving) > 0 && now >= e.leaveAt {
		n++
		e.detachSome(now)
	}
	n += e.events(now)
	e.reconnect(now)
	e.tellReady(now)
	if len(e.inspections) > 0 {
		n++
		e.inspecting(now)
	}
	e.dropEnded()
	e.lookAtPorts(now)
	e.keepRoom(now)
	if n > 0 {
		e.revokeAll()
	}
	if e.plane != nil {
		e.passOn(now)
		e.forgetClosed(now)
		e.settleLent(now)
		e.forgetFrozen(now)
		e.share(now)
		e.giveUp(now)
		e.release(now)
	}
	if e.plane != nil {
		n += e.reclaim(now)
		e.publish(now)
	}
	return n
}

// leave is the end of every call: what C needs to know before it sleeps or spins.
func (e *Engine) leave(now int64) {
	d := int64(0)
	if e.plane != nil && !e.stopped {
		d = e.plane.stack.NextDeadline()
	}
	if e.link.lostAt != 0 && e.link.client == nil {
		d = earlier(d, e.link.retry)
	}
	d = earlier(earlier(earlier(earlier(d, e.readyAt), e.ports.lookAt), e.limbo.next()), earlier(e.shareAt, e.lentAt))
	for i := range e.yields {
		d = earlier(d, e.yields[i].next(now))
	}
	if e.link.pending() {
		d = earlier(d, now)
	}
	if len(e.leaving) > 0 {
		d = earlier(d, e.leaveAt)
	}
	if len(e.ended) > 0 || len(e.inspections) > 0 || e.nextLook == now {
		d = earlier(d, now)
	}
	e.openPlain()
	if u := e.unanswered(); e.sh.Unanswered.Load() != u {
		e.sh.Unanswered.Store(u)
	}
	if e.sh.Deadline.Load() != d {
		e.sh.Deadline.Store(d)
	}
	e.sh.Entered.Store(now)
}

func earlier(a, b int64) int64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// detailEvery is how often the many counters are published while there is something to do.
const detailEvery = int64(1e6)

// publish copies the counters to the memory shared with the broker, those that few look at not each time.
func (e *Engine) publish(now int64) {
	c, m := e.plane.stack.Counters(), e.plane.state
	e.sh.RxPackets, e.sh.TxPackets = c.RxPackets, c.TxPackets
	m.SetCount(proto.CountRxPackets, c.RxPackets)
	m.SetCount(proto.CountRxBytes, c.RxBytes)
	m.SetCount(proto.CountTxPackets, c.TxPackets)
	m.SetCount(proto.CountTxBytes, c.TxBytes)
	m.SetCount(proto.CountRetransmits, c.TCP.RetransSegs+e.plane.stack.Host().SendStats().RetransSegs)
	m.SetCount(proto.CountResetsSent, c.TCP.OutRsts)
	m.SetCount(proto.CountBadPackets, c.TCP.InErrs)
	m.SetCount(proto.CountHandedOver, e.sh.Handovers)
	if now-e.plane.detailed >= detailEvery {
		e.detail(now)
	}
}

// count adds one to a counter.
func (e *Engine) count(i int) {
	if e.plane != nil {
		e.plane.state.Count(i, 1)
	}
}

// detail publishes all counters.
func (e *Engine) detail(now int64) {
	e.plane.detailed = now
	e.plane.counters.publish(e, e.plane)
}

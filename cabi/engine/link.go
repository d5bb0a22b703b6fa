package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// callTime is how long a program's call may wait for a broker that is there but does not answer: one that ended is noticed at once, and on a
// machine that is overloaded twenty times over, answers were seen to take more than 2 s.
const callTime = 5 * time.Second

// moveTime is the same for what must not be done late: a kernel's socket that comes to life when the connection goes on here already would be lost,
// and the connection with it. The broker begins none of it when less than proto.MoveMargin is left.
const moveTime = proto.MoveMargin + 4*time.Second

// unlistenTime is how long closing a listener may take: what closes idle connections next must not come late. Usually it is half a millisecond.
const unlistenTime = 100 * time.Millisecond

// slowCall is worth a note.
const slowCall = int64(50 * time.Millisecond)

// Reconnection after the broker went away: every 100 ms at first, every second after 5 s.
const (
	retrySoon  = int64(100 * time.Millisecond)
	retryLater = int64(time.Second)
	retryPhase = int64(5 * time.Second)
)

var errNoBroker = errors.New("no broker")

// link is the engine's private channel to the broker.
type link struct {
	client *proto.Client // nil: none now
	lostAt int64         // when the broker went away; 0: it is there, or never was
	retry  int64         // when to try again
}

// dial opens the channel: through the inherited door if there is one, else by the path.
func (e *Engine) dial() error {
	if e.boot.Door >= 0 {
		if err := e.hello(e.boot.Door); err == nil {
			return nil
		}
	}
	door, err := proto.Dial(e.socketPath())
	if err != nil {
		return fmt.Errorf("%w: %w", errNoBroker, err)
	}
	defer unix.Close(door)
	return e.hello(door)
}

func (e *Engine) hello(door int) error {
	c, w, err := proto.OpenAbove(door, e.boot.FDMin, proto.Hello{Program: programName(), Tells: true, Keepers: true, Releases: true}, callTime)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoBroker, err)
	}
	fd, err := e.lift(c.FD())
	if err != nil {
		c.SetFD(-1)
		return err
	}
	c.SetFD(fd)
	if err := e.watch(fd); err != nil {
		e.hangUp()
		return err
	}
	e.link = link{client: c}
	if len(w.Token) < len(e.sh.Token) {
		e.sh.Token = [len(e.sh.Token)]byte{}
		copy(e.sh.Token[:], w.Token)
	}
	return nil
}

// programName is the process's name. Its arguments may have been written over.
func programName() string { return strings.TrimSpace(readSmall("/proc/self/comm")) }

// hangUp closes the channel.
func (e *Engine) hangUp() {
	if c := e.link.client; c != nil {
		e.unwatch(c.FD())
		e.sh.disown(c.FD())
		c.Close()
		e.link.client = nil
	}
}

// call is a request to the broker and its reply. Events that come in between are handled in a later turn.
func (e *Engine) call(now int64, op proto.Op, body any, fds []int, reply any) ([]int, error) {
	return e.callAhead(now, op, body, fds, reply, (*proto.Packet).CloseFDs)
}

// callAhead is call for a request to which something may come ahead of the answer, or instead of one.
func (e *Engine) callAhead(now int64, op proto.Op, body any, fds []int, reply any, ahead func(*proto.Packet)) (got []int, err error) {
	if e.link.client == nil {
		return nil, errNoBroker
	}
	e.nextLook = now // for the events that were kept
	e.kick()         // the program's data need not wait for the broker
	began := nanotime()
	got, err = e.link.client.CallAhead(op, body, fds, reply, limitOf(op), ahead)
	e.prolong(nanotime() - began)
	return got, e.judge(now, op, err)
}

// begin is the first half of a call, await the second.
func (e *Engine) begin(now int64, op proto.Op, fds []int) (id uint64, err error) {
	if e.link.client == nil {
		return 0, errNoBroker
	}
	e.nextLook = now
	e.kick()
	id, err = e.link.client.Begin(op, nil, fds, limitOf(op))
	return id, e.judge(now, op, err)
}

func (e *Engine) await(now int64, id uint64, op proto.Op, reply any) (fds []int, err error) {
	if e.link.client == nil {
		return nil, errNoBroker
	}
	began := nanotime()
	fds, err = e.link.client.Await(id, op, reply, limitOf(op))
	e.prolong(nanotime() - began)
	return fds, e.judge(now, op, err)
}

// hush has an answer to a move, which the calling thread waits for, wake no other: the program's threads that sleep would all look what there is, on the
// processors that the move needs. What comes in between is seen afterwards.
func (e *Engine) hush() (end func()) {
	e.hear(0)
	return func() { e.hear(unix.EPOLLIN) }
}

func (e *Engine) hear(events uint32) {
	if c := e.link.client; c != nil {
		_ = unix.EpollCtl(int(e.sh.WakeFD), unix.EPOLL_CTL_MOD, c.FD(), &unix.EpollEvent{Events: events, Fd: int32(c.FD())})
	}
}

func limitOf(op proto.Op) time.Duration {
	switch op {
	case proto.OpHandover, proto.OpTakeover, proto.OpOrphan:
		return moveTime
	case proto.OpUnlisten:
		return unlistenTime
	}
	return callTime
}

// judge says what the end of a call begun at now means for the channel, and words it.
func (e *Engine) judge(now int64, op proto.Op, err error) error {
	if took := nanotime() - now; took > slowCall {
		e.debug("%s took the broker %v", op, time.Duration(took).Round(time.Millisecond))
	}
	var no *proto.Refused
	switch {
	case err == nil:
		return nil
	case errors.Is(err, proto.ErrTimeout) && e.plane == nil:
		// A grant that comes late would be of queues that nobody serves. Nothing is held yet: a new channel starts afresh.
	case errors.As(err, &no), errors.Is(err, proto.ErrTimeout), errors.Is(err, proto.ErrTooBig):
		return fmt.Errorf("%s: %w", op, err)
	}
	e.lost(now, err)
	return fmt.Errorf("%s: %w: %w", op, errNoBroker, err)
}

// tell is a request whose reply does not matter.
func (e *Engine) tell(now int64, op proto.Op, body any) {
	if e.link.client == nil {
		return
	}
	if err := e.link.client.Tell(op, body); err != nil {
		e.lost(now, err)
	}
}

// lost notes that the channel ended: what was leased goes on, a new broker is looked for. What the old one wanted it wants no more.
func (e *Engine) lost(now int64, why error) {
	var rest []*proto.Packet
	if c := e.link.client; c != nil {
		rest = c.Rest()
	}
	e.hangUp()
	e.link.lostAt, e.link.retry = now, now+retrySoon
	e.inherit(rest)
	e.takeBack()
	e.endFrozen()
	e.yields, e.wishes, e.leaving = nil, nil, nil
	e.forgetInspections()
	e.untapAll()
	e.info("broker went away (%v): connections go on, looking for a new one", why)
}

// nextBroker is how long what needs a broker waits for the next one: what nobody accepts, above all.
const nextBroker = int64(10 * time.Second)

// orphaned tells whether the broker has died, and a new one may come.
func (e *Engine) orphaned(now int64) bool {
	return e.link.client == nil && e.link.lostAt != 0 && !e.stopped && now-e.link.lostAt < nextBroker
}

// inherit takes the connections that a broker had sent before it ended: whoever gave them has them no more.
func (e *Engine) inherit(rest []*proto.Packet) {
	for _, p := range rest {
		if p.Op == proto.OpAccepted {
			if err := e.accepted(p); err != nil {
				e.debug("%v", err)
			}
		}
		p.CloseFDs()
	}
}

// reconnect looks for a new broker when it is time, and presents what this process holds.
func (e *Engine) reconnect(now int64) {
	if e.link.client != nil || e.link.lostAt == 0 || now < e.link.retry {
		return
	}
	pause := retrySoon
	if now-e.link.lostAt > retryPhase {
		pause = retryLater
	}
	e.link.retry = now + pause
	lostAt, retry := e.link.lostAt, e.link.retry
	if err := e.dial(); err != nil {
		return
	}
	if err := e.adopt(now); err != nil {
		e.refuse(fmt.Sprintf("the new broker does not take this process's queues over: %v", err))
		e.hangUp()
		e.link.lostAt, e.link.retry = lostAt, retry
		return
	}
	e.info("a new broker has taken over")
}

// pending tells whether events wait that came in between a request and its reply.
func (l *link) pending() bool { return l.client != nil && l.client.Pending() }

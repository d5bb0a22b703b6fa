package engine

import (
	"time"

	"github.com/sluice-net/sluice/broker/proto"
)

// Room keeps address space and data for the runtime, which ends the process when it is refused some (cabi/room.c). Calling it makes up for what was
// given. False: that can't be had now.
type Room func() bool

const (
	roomEvery = int64(time.Second)
	// roomPatience is how long a limit may stand. What is kept is enough for what is there, not for ever more of it: then the kernel gets that.
	roomPatience = int64(5 * time.Second)

	noRoom = "no memory is to be had (RLIMIT_AS, RLIMIT_DATA): the kernel serves"
)

// room is what is known of it.
type room struct {
	at    int64 // when it is looked at next
	since int64 // since when some is missing, 0: none is
	away  bool  // all is the kernel's until there is room again
}

// keepRoom looks after it.
func (e *Engine) keepRoom(now int64) {
	r := &e.room
	if e.boot.Room == nil || now < r.at {
		return
	}
	r.at = now + roomEvery
	switch {
	case e.boot.Room() && e.sh.Starved.Load() == 0:
		r.since, r.away = 0, false
	case r.since == 0:
		r.since = now
	case now-r.since >= roomPatience:
		if !r.away {
			e.refuse(noRoom)
		}
		r.away = true
		if e.plane != nil && e.clear(now) {
			r.at = now + int64(20*time.Millisecond)
		}
	}
}

// clear gives to the kernel what there is, listeners for good. What is on its way to the program by one of them comes first, as the broker leads nobody
// else there: then it tells that something is left.
func (e *Engine) clear(now int64) (left bool) {
	for _, l := range e.listens {
		e.left(now, l)
		if q := l.sock.Listener(); q.Waiting()+q.HalfOpens()+len(l.queue) > 0 {
			left = true
		} else {
			e.moved(l.h, -1) // C closes it
		}
	}
	if len(e.leaving) == 0 {
		e.evict(now, nil, proto.Which{Pid: 1}) // all
	}
	return left
}

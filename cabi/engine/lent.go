package engine

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// lent is a connection that was passed on to another process and that nobody may have taken yet. It is in a keeper that we have, too: if the broker
// dies on the way, it is still to be had there, by one of all who have the keeper.
type lent struct {
	l      *listener
	keeper int
	until  int64
}

const (
	lentLook = int64(250 * time.Millisecond) // how often it is looked whether they were taken
	lentFor  = int64(15 * time.Second)       // longer than the broker waits for a taker
	maxLent  = 64                            // further ones go without: they die with the broker if it dies with them
)

// passKernel gives a kernel socket from the accept queue to another owner of the listener. It stays what it is: without it for a
// moment, the peer's next segment would be answered with a reset. The descriptor stays the caller's, to be closed unless there is an error.
func (e *Engine) passKernel(now int64, l *listener, fd int) error {
	e.settleLent(now)
	keeper := -1
	_, err := e.callAhead(now, proto.OpOrphan, proto.Orphan{Cookie: l.cookie, Kernel: true, Keep: e.mayKeep()}, []int{fd}, nil, func(p *proto.Packet) {
		if keeper < 0 && len(p.FDs) > 0 {
			keeper, p.FDs = p.FDs[0], p.FDs[1:]
		}
		p.CloseFDs()
	})
	if keeper < 0 {
		return err
	}
	if err == nil {
		e.sh.own(keeper)
		e.lent = append(e.lent, lent{l, keeper, now + lentFor})
		e.lentAt = earlier(e.lentAt, now+lentLook)
		return nil
	}
	// The broker has not said whether it passed it on.
	defer unix.Close(keeper)
	mine, err2 := proto.Take(keeper, e.boot.FDMin)
	if err2 != nil {
		return nil // it has, and it was taken
	}
	closeAll(mine)
	return err
}

// mayKeep tells whether there is a descriptor for a keeper.
func (e *Engine) mayKeep() bool {
	if len(e.lent) >= maxLent {
		return false
	}
	fd, err := unix.FcntlInt(uintptr(e.sh.WakeFD), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == nil
}

// settleLent forgets those that were taken.
func (e *Engine) settleLent(now int64) {
	if e.lentAt == 0 || now < e.lentAt {
		return
	}
	e.lent = slices.DeleteFunc(e.lent, func(o lent) bool {
		if !proto.Empty(o.keeper) && now < o.until {
			return false
		}
		e.drop(o.keeper)
		return true
	})
	if e.lentAt = 0; len(e.lent) > 0 {
		e.lentAt = now + lentLook
	}
}

// takeBack takes back what nobody has taken, when the broker has died.
func (e *Engine) takeBack() {
	all := e.lent
	e.lent, e.lentAt = nil, 0
	for _, o := range all {
		mine, err := proto.Take(o.keeper, e.boot.FDMin)
		e.drop(o.keeper)
		if err != nil {
			continue
		}
		for _, fd := range mine {
			e.push(o.l, fd)
		}
	}
}

// abort ends a kernel socket as the kernel ends those that nobody accepts: with a reset.
func abort(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(fd)
}

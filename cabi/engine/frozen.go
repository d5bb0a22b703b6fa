package engine

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/fallback/repair"
)

// The kernel's socket of a connection that came here stays for a moment, frozen: what is on its way to it must not meet nobody. The broker ends it. If
// it dies before, nobody else would: and the kernel would find that socket for the connection's packets as soon as another broker leads them anew.

// frozen is such a socket.
type frozen struct {
	fd    int
	until int64 // when to see whether the broker has ended it
}

const (
	// frozenFor is how long the broker leaves it there, if the machine has not much else to do.
	frozenFor = int64(50 * time.Millisecond)
	// maxFrozen bounds the descriptors for it: beyond, a broker that dies in these milliseconds leaves one to stand still.
	maxFrozen = 64
)

// leaveFrozen notes a socket that the broker will end.
func (e *Engine) leaveFrozen(now int64, kfd int) {
	e.forgetFrozen(now)
	if e.link.client == nil {
		_ = repair.Discard(kfd)
		return
	}
	if len(e.frozen) >= maxFrozen {
		return
	}
	fd, err := unix.FcntlInt(uintptr(kfd), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
	if err != nil {
		return
	}
	e.sh.own(fd)
	e.frozen = append(e.frozen, frozen{fd, now + frozenFor})
}

// forgetFrozen lets go of those that the broker has ended: they have no peer any more. How long that takes nobody can say (on a machine with thirty times as
// much to do as it can, a broker was killed 0.2 s after its answer, and had not; three connections stood still, make chaos seed 1).
func (e *Engine) forgetFrozen(now int64) {
	for i := range e.frozen {
		f := &e.frozen[i]
		if now < f.until {
			continue
		}
		if f.until = now + frozenFor; hasPeer(f.fd) {
			continue
		}
		e.drop(f.fd)
		f.fd = -1
	}
	e.frozen = slices.DeleteFunc(e.frozen, func(f frozen) bool { return f.fd < 0 })
}

func hasPeer(fd int) bool {
	_, err := unix.Getpeername(fd)
	return err == nil
}

// endFrozen ends them in the broker's place.
func (e *Engine) endFrozen() {
	for _, f := range e.frozen {
		if alive, err := repair.Alive(f.fd); err == nil && !alive {
			_ = repair.Discard(f.fd)
		}
		e.drop(f.fd)
	}
	e.frozen = nil
}

func frozenState(kfd int) (*repair.State, error) {
	st, err := repair.Frozen(kfd)
	return &st, err
}

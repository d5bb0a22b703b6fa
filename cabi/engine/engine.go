package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/cabi/hugepages"
	"github.com/sluice-net/sluice/fallback/routes"
)

// Boot is struct sl_boot.
type Boot struct {
	Door  int // a connection to the broker, or -1
	FDMin int
	Env   []string // SLUICE_X=value
	Kicks bool     // the C side wakes the kernel for packets to send
	Watch bool     // the C side waits at the queues' own descriptors
	Room  Room     // nil: none is kept
}

func (b *Boot) knob(name, def string) string {
	for _, s := range b.Env {
		if v, ok := strings.CutPrefix(s, name+"="); ok {
			return v
		}
	}
	return def
}

// fast tells whether a short cut is to be taken (SLUICE_FAST).
func (b *Boot) fast(name string) bool {
	v := b.knob("SLUICE_FAST", "all")
	return v == "all" || slices.Contains(strings.Split(v, ","), name)
}

// Engine is the whole of a process's user stack.
type Engine struct {
	scrap [1]byte // where a receiving call without memory peeks

	mu      sync.Mutex
	sh      *Shared
	boot    Boot
	devices []string // SLUICE_DEVICES, nil: all

	routes *routes.Router
	link   link   // to the broker
	plane  *plane // the leased queues and the stack over them; nil before the first and after the last

	tab      table
	listens  []*listener
	listened []*listener // closed by the program; something of them may be left
	flows    []*flow     // of active opens
	ended    []*flow     // of connections that are over: to be told to the broker
	ports    ports       // on lease
	yields   []yield
	lent     []lent // connections passed on
	frozen   []frozen
	lentAt   int64    // when they are looked at next, 0: there are none
	unready  []uint64 // cookies of listeners that the broker is to be told of at readyAt
	readyAt  int64
	limbo    limbo
	said     map[string]struct{} // refusals noted already
	refused  bool                // a listener or connection stayed with the kernel, and it was said why

	wishes      []wish // to be shown to the C side, the first is
	leaving     []*leaving
	leaveAt     int64 // when the next of them go
	newcomers   []newcomer
	inspections []*inspection
	taps        []tapped

	turned   int64 // when the last turn was
	nextLook int64 // when the broker and the routes are looked at next
	shareAt  int64 // when listeners are looked at whose program does not accept, 0: never
	stopped  bool

	plain  plainCase
	strays strays
	room   room
	huge   hugepages.Heap
	litter int          // octets that moves copied since their memory was given back
	ticked atomic.Int64 // when tick last did its work
}

// procs are the runtime's processors: more than threads are ever in here at once. While one is idle the runtime's monitor lets the
// calling thread keep its own between calls. On one core, with one processor, it took it away every 20 us, which was a tenth of
// nginx's time and a context switch each.
const procs = 8

// Start makes the engine. Errors are told in the notes as well.
func Start(sh *Shared, boot Boot) (*Engine, error) {
	e := &Engine{sh: sh, boot: boot, said: map[string]struct{}{}, ports: ports{pools: map[netip.Addr]*pool{}}}
	e.plain.off = !boot.fast("plain")
	// At steady state nothing is allocated; what connections cost must not make the collector run under load.
	debug.SetGCPercent(400)
	runtime.GOMAXPROCS(max(procs, runtime.GOMAXPROCS(0)))
	if v := boot.knob("SLUICE_DEVICES", "all"); v != "" && v != "all" {
		e.devices = strings.Split(v, ",")
	}
	if e.boot.Room != nil && !e.boot.Room() {
		e.refuse(noRoom)
		return nil, errors.New(noRoom)
	}
	for _, fd := range raisePoller(boot.FDMin) {
		sh.own(fd)
	}
	if err := e.open(); err != nil {
		e.refuse(err.Error())
		e.shut()
		return nil, err
	}
	return e, nil
}

func (e *Engine) open() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make wake descriptor: %w", err)
	}
	if ep, err = e.lift(ep); err != nil {
		return err
	}
	e.sh.WakeFD = int32(ep)
	if e.routes, err = routes.New(e.boot.FDMin); err != nil {
		return err
	}
	for _, fd := range e.routes.FDs() {
		e.sh.own(fd)
	}
	if err := e.watch(e.routes.FD()); err != nil {
		return err
	}
	return e.dial()
}

// shut gives back what open took.
func (e *Engine) shut() {
	e.hangUp()
	if e.routes != nil {
		for _, fd := range e.routes.FDs() {
			e.sh.disown(fd)
		}
		e.routes.Close()
		e.routes = nil
	}
	if fd := int(e.sh.WakeFD); fd > 0 {
		e.drop(fd)
		e.sh.WakeFD = -1
	}
}

// lift moves a descriptor up and lists it as the engine's.
func (e *Engine) lift(fd int) (int, error) {
	if fd < e.boot.FDMin {
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, e.boot.FDMin)
		_ = unix.Close(fd)
		if err != nil {
			return -1, fmt.Errorf("move descriptor up: %w", err)
		}
		fd = high
	}
	e.sh.own(fd)
	return fd, nil
}

// drop closes a descriptor that lift returned.
func (e *Engine) drop(fd int) {
	e.sh.disown(fd)
	_ = unix.Close(fd)
}

// watch makes wake_epfd readable when fd is.
func (e *Engine) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(int(e.sh.WakeFD), unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch descriptor: %w", err)
	}
	return nil
}

func (e *Engine) unwatch(fd int) {
	_ = unix.EpollCtl(int(e.sh.WakeFD), unix.EPOLL_CTL_DEL, fd, nil)
}

// Note levels, as SLUICE_LOG has them.
const (
	levelError = 1 + iota
	levelInfo
	levelDebug
)

// refuse notes why something goes by the kernel, each reason once.
func (e *Engine) refuse(reason string) {
	if _, ok := e.said[reason]; ok || len(e.said) > 256 {
		return
	}
	e.said[reason] = struct{}{}
	e.sh.note(levelError, reason)
}

func (e *Engine) info(format string, args ...any) { e.sh.note(levelInfo, fmt.Sprintf(format, args...)) }

func (e *Engine) debug(format string, args ...any) {
	e.sh.note(levelDebug, fmt.Sprintf(format, args...))
}

// socketPath is the broker's.
func (e *Engine) socketPath() string { return e.boot.knob("SLUICE_BROKER", proto.DefaultSocket) }

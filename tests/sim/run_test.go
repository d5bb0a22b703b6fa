package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// play is a plan as it runs.
type play struct {
	*world
	p       *plan
	talks   []*talk
	lis     [2]*usock.Socket
	weather weather
	health  *health
	foe     *foe // nil: both hosts are stacks
}

// result is what a run came to.
type result struct {
	trace   uint64
	packets int
	steps   int
	took    int64 // virtual time
	err     error
}

// run plays a plan to its end. Whatever an oracle finds, and any panic of the stack, is the result's error.
func (p *plan) run() (r result) {
	c := catcher{}
	w := newWorld(c, config{seed: p.Seed, v6: p.V6, frames: p.Frames, mtu: p.MTU, bursts: p.Bursts, parts: p.Parts, joins: p.Joins, waits: p.Waits,
		params: func(i int, prm *tcp.Params) { p.Traits[i].apply(prm) }})
	defer w.free()
	defer func() {
		if w.watch != nil {
			r.trace, r.packets = w.watch.trace, w.watch.packets
		}
		r.steps, r.took = w.steps, w.now
		switch f := recover().(type) {
		case nil:
		case caught:
			r.err = fmt.Errorf("at %.3f ms: %s", float64(w.now-second)/1e6, string(f))
		default:
			r.err = fmt.Errorf("at %.3f ms: panic: %v\n%s", float64(w.now-second)/1e6, f, trimStack(debug.Stack()))
		}
	}()
	newPlay(w, p).perform()
	return r
}

func newPlay(w *world, p *plan) *play {
	w.watch = newWatcher(w)
	has := func(what string) bool {
		return slices.ContainsFunc(p.Faults, func(f event) bool { return f.What == what })
	}
	w.watch.late = has("neighbour")
	w.watch.scarce = p.Frames < 256 || has("ring") || has("neighbour")
	pl := &play{world: w, p: p, health: newHealth(w)}
	pl.weather = weather{w: w, p: p}
	for i, h := range w.host {
		h.words = map[*usock.Socket]uint32{}
		l, err := h.Listen(w.now, netip.AddrPortFrom(h.addr, 80), p.Backlog)
		require.NoError(w.t, err)
		pl.lis[i] = l
	}
	for i := range p.Conns {
		pl.talks = append(pl.talks, newTalk(w, &p.Conns[i], i))
		pl.talks[i].health = pl.health
	}
	if p.Foe != nil {
		pl.foe = newFoe(pl, p.Foe)
	}
	w.apps = append(w.apps, pl.turn)
	return pl
}

// perform runs until all programs have finished, the weather is calm, TIME-WAIT is over and nothing is left.
func (pl *play) perform() {
	pl.turn()
	pl.until(600*second, "all programs finish", func() bool {
		for _, k := range pl.talks {
			if !k.over() {
				return false
			}
		}
		return true
	})
	for _, k := range pl.talks {
		k.check()
	}
	pl.weather.end()
	for i := range pl.lis {
		pl.lis[i].Close(pl.now)
	}
	if pl.foe != nil { // which does not answer any more
		pl.until(3000*second, "the stack gives up", func() bool { return pl.host[1].Conns() == 0 })
	}
	pl.clean()
}

// turn is everything that is not the stacks': weather, programs, oracles.
func (pl *play) turn() {
	pl.weather.turn()
	for i, l := range pl.lis {
		pl.accept(i, l)
	}
	for _, k := range pl.talks {
		k.turn()
	}
	if pl.foe != nil {
		pl.foe.turn()
	}
	pl.health.check()
	pl.alarm = pl.weather.alarm()
	if pl.foe != nil {
		if at := pl.foe.alarm(); at > 0 && (pl.alarm == 0 || at < pl.alarm) {
			pl.alarm = at
		}
	}
	for _, k := range pl.talks {
		if at := k.alarm(); at != 0 && (pl.alarm == 0 || at < pl.alarm) {
			pl.alarm = at
		}
	}
	if s := pl.p.Slow; s > 0 && pl.now < second+calm {
		pl.alarm = min(pl.alarm, pl.now-pl.now%s+s)
	}
}

// accept gives new connections to their programs, now and then only if the plan's programs are slow.
func (pl *play) accept(i int, l *usock.Socket) {
	if s := pl.p.Slow; s > 0 && pl.now < second+calm && pl.now/s%2 == 1 {
		return
	}
	for l.Ready()&usock.PollIn != 0 {
		s, err := l.Accept(pl.now)
		if err != nil {
			pl.t.Fatalf("POLLIN of a listener, but accept: %v", err)
		}
		k := pl.talks[s.Remote().Port()-40000]
		if k.end[i].sock != nil {
			if pl.host[i].Counters().TCP.SyncookiesRecv == 0 {
				pl.t.Fatalf("connection %d was accepted twice", k.port)
			}
			s.Abort(pl.now) // an old ACK brought its cookie once more
			continue
		}
		k.give(&k.end[i], s)
	}
	if _, err := l.Accept(pl.now); !errors.Is(err, tcp.ErrAgain) {
		pl.t.Fatalf("no POLLIN of a listener, but accept: %v", err)
	}
}

// catcher is a testing.TB that stops a run by a panic, which plan.run catches.
type catcher struct{ testing.TB }

type caught string

func (catcher) Name() string                 { return "a plan" }
func (catcher) Helper()                      {}
func (catcher) Errorf(f string, args ...any) { panic(caught(fmt.Sprintf(f, args...))) }
func (catcher) Fatalf(f string, args ...any) { panic(caught(fmt.Sprintf(f, args...))) }
func (catcher) FailNow()                     { panic(caught("failed")) }
func (catcher) Logf(string, ...any)          {}

// trimStack keeps the frames of a panic that are ours.
func trimStack(b []byte) string {
	lines := strings.Split(string(b), "\n")
	keep := lines[:0]
	for _, l := range lines {
		if strings.Contains(l, "/ustack") || strings.Contains(l, "/tests/sim") {
			keep = append(keep, strings.TrimSpace(l))
		}
	}
	return strings.Join(keep[:min(len(keep), 30)], "\n")
}

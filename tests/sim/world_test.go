// Package sim runs stacks against each other in virtual time: no device, no sleep, one seed reproduces a run.
package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

const (
	ms     = int64(1_000_000)
	second = 1000 * ms
)

// world is two hosts joined by a wire, and the time.
type world struct {
	t       testing.TB
	now     int64
	rng     *rand.Rand
	wire    wireHeap
	seq     uint64
	dropped int
	host    [2]*host
	apps    []func() // run after every step
	alarm   int64    // when an app wants to run, whatever happens; 0: it does not mind
	watch   *watcher // judges every packet, if there
	still   int      // steps since time last went on
	steps   int
}

// host is one stack with one nic.
type host struct {
	*ustack.Stack
	w      *world
	nic    *nic
	pool   *pbuf.Pool
	addr   netip.Addr
	peer   *host
	routes *routes
	words  map[*usock.Socket]uint32 // readiness as the stack told it last, which is all that the real engine's programs see
}

func (h *host) Ready(s *usock.Socket) {
	if h.words != nil {
		h.words[s] = s.Ready()
	}
}

// routes is a Router that knows only the peer.
type routes struct {
	h          *host
	gen        uint64
	unresolved bool
	asked      int
	mtu        int
	vlan       uint16 // of a VLAN device on top of the nic, by which the peer is reached
}

func (r *routes) Route(dst, src netip.Addr) (ustack.Hop, error) {
	if dst != r.h.peer.addr || src.IsValid() && src != r.h.addr {
		return ustack.Hop{}, errNoRoute
	}
	hop := ustack.Hop{Ifindex: 1, MTU: r.mtu, Src: r.h.addr, NextHop: dst, MAC: r.h.peer.nic.info.MAC, Resolved: !r.unresolved}
	if r.vlan != 0 {
		hop.Ifindex, hop.VLAN, hop.Below = 2, r.vlan, 1
	}
	return hop, nil
}

func (r *routes) Resolve(int, netip.Addr) { r.asked++ }
func (r *routes) Generation() uint64      { return r.gen }

var errNoRoute = errors.New("no route")

// config of a world; the zero value is a perfect wire between two version 4 hosts.
type config struct {
	seed   uint64
	link   [2]Link // of packets from host 0, from host 1
	v6     bool
	frames int // of each host's pool, default 2048
	mtu    int // default 1500
	vlan   [2]uint16
	bursts bool
	parts  bool
	joins  bool
	waits  bool // ACKs of requests wait for the answers; programs wait now and then
	params func(host int, p *tcp.Params)

	registry ustack.Registry // of both hosts
	secret   *tcp.Secret     // the same
}

func newWorld(t testing.TB, c config) *world {
	w := &world{t: t, now: second, rng: newRand(c.seed)}
	if c.frames == 0 {
		c.frames = 2048
	}
	if c.mtu == 0 {
		c.mtu = 1500
	}
	for i := range w.host {
		w.host[i] = w.newHost(c, i)
	}
	a, b := w.host[0], w.host[1]
	a.plug(b)
	b.plug(a)
	return w
}

// newHost makes one end, which plug joins to the other.
func (w *world) newHost(c config, i int) *host {
	addrs := []string{"192.0.2.1", "192.0.2.2"}
	if c.v6 {
		addrs = []string{"2001:db8::1", "2001:db8::2"}
	}
	mem := frameMemory(c.frames * efvi.FrameSize)
	h := &host{w: w, addr: netip.MustParseAddr(addrs[i]), pool: pbuf.New(mem, efvi.FrameSize)}
	h.routes = &routes{h: h, gen: 1, mtu: c.mtu}
	h.nic = &nic{w: w, parts: c.parts, joins: c.joins, side: i, mem: mem, link: c.link[i], info: efvi.Info{Device: "sim", Ifindex: 1, MAC: [6]byte{2, 0, 0, 0, 0, byte(i)}, MTU: c.mtu, VLAN: c.vlan[i]}}
	if c.bursts {
		h.nic.info.MaxBurst = 60_000
	}
	p := tcp.DefaultParams()
	if c.params != nil {
		c.params(i, p)
	}
	wait := int64(0)
	if c.waits {
		wait = 40 * ms
	}
	h.Stack = ustack.New(ustack.Config{Pool: h.pool, Rand: w.rng.Uint64, Params: p, Routes: h.routes, Sink: h, Registry: c.registry, Secret: c.secret, AnswerWait: wait})
	return h
}

func (h *host) plug(peer *host) {
	h.peer, h.nic.peer = peer, peer.nic
	h.AddVI(h.nic)
}

// slabs are frame memory of worlds that are over: thousands of worlds follow each other. What is in it does not matter.
var slabs sync.Pool

func frameMemory(size int) []byte {
	if b, ok := slabs.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:size]
	}
	return make([]byte, size)
}

// free gives a world's memory back; nothing of it may be used afterwards.
func (w *world) free() {
	for _, h := range w.host {
		slabs.Put(&h.nic.mem)
	}
}

// step goes to the next thing that happens, at most to limit; false: nothing ever will before it.
func (w *world) step(limit int64) bool {
	next := limit
	if len(w.wire) > 0 {
		next = min(next, w.wire[0].at)
	}
	for _, h := range w.host {
		if d := h.NextDeadline(); d != 0 {
			next = min(next, max(d, w.now))
		}
		if len(h.nic.events) > 0 {
			next = w.now
		}
	}
	if w.alarm > 0 {
		next = min(next, max(w.alarm, w.now))
	}
	if next >= limit {
		w.now = limit
		return false
	}
	w.steps++
	if w.still++; next > w.now {
		w.still = 0
	}
	if w.still > 10_000 {
		require.FailNow(w.t, "time stands still", "deadlines %d and %d ns from now\n%s",
			w.host[0].NextDeadline()-w.now, w.host[1].NextDeadline()-w.now, w.describe())
	}
	w.now = next
	for len(w.wire) > 0 && w.wire[0].at <= w.now {
		p := heap.Pop(&w.wire).(packet)
		if p.to.joins {
			w.join(&p)
		}
		p.to.arrive(p)
	}
	for _, h := range w.host {
		if w.steps%4 == 0 {
			h.Waits()
		}
		h.Poll(w.now, 256)
	}
	w.runApps()
	return true
}

func (w *world) runApps() {
	for _, app := range w.apps {
		app()
	}
}

// until runs the world until cond holds; it fails when that takes longer than d of virtual time.
func (w *world) until(d int64, what string, cond func() bool) {
	w.t.Helper()
	limit := w.now + d
	w.runApps()
	for steps := 0; !cond(); steps++ {
		if !w.step(limit) {
			require.FailNow(w.t, "never: "+what, "after %v ms, %d steps\n%s", d/ms, steps, w.describe())
		}
		if steps > 20_000_000 {
			require.FailNow(w.t, "endless: "+what, "deadlines %d and %d ns from now\n%s",
				w.host[0].NextDeadline()-w.now, w.host[1].NextDeadline()-w.now, w.describe())
		}
	}
}

// run lets d of virtual time pass.
func (w *world) run(d int64) {
	for limit := w.now + d; w.step(limit); {
	}
}

func (w *world) describe() string {
	s := ""
	for i, h := range w.host {
		s += fmt.Sprintf("%c %d of %d frames free, %d received, %d posted, next %d ms\n", 'A'+i, h.pool.Free(), h.pool.Len(),
			h.pool.Received(), len(h.nic.posted), (h.NextDeadline()-w.now)/ms)
		h.Each(func(k *usock.Socket) {
			s += string(rune('A'+i)) + " " + k.State().String() + " " + k.Local().String() + " " + k.Remote().String() +
				fmt.Sprintf(" inq %d outq %d unsent %d ready %#x\n", k.InQ(), k.OutQ(), k.OutQNSD(), k.Ready())
		})
	}
	return s
}

// pair makes a connection from host 0 to a listener on host 1 and returns both ends.
func (w *world) pair() (client, server *usock.Socket) {
	w.t.Helper()
	l, err := w.host[1].Listen(w.now, netip.AddrPortFrom(w.host[1].addr, 80), 128)
	require.NoError(w.t, err)
	client = w.connect(40000)
	server = w.accept(l)
	w.until(60*second, "the client is connected", func() bool { return client.State() == tcp.Established })
	return client, server
}

func (w *world) connect(port uint16) *usock.Socket {
	w.t.Helper()
	a, b := w.host[0], w.host[1]
	c, err := a.Connect(w.now, netip.AddrPortFrom(a.addr, port), netip.AddrPortFrom(b.addr, 80))
	require.NoError(w.t, err)
	return c
}

func (w *world) accept(l *usock.Socket) (s *usock.Socket) {
	w.t.Helper()
	w.until(60*second, "a connection is accepted", func() bool {
		var err error
		s, err = l.Accept(w.now)
		return err == nil
	})
	return s
}

// clean checks that nothing is left once everything was closed and TIME-WAIT is over: no connection, no frame.
func (w *world) clean() {
	w.t.Helper()
	w.until(300*second, "all connections end", func() bool { return w.host[0].Conns() == 0 && w.host[1].Conns() == 0 })
	w.run(second)
	for i, h := range w.host {
		require.Equal(w.t, h.pool.Len(), h.pool.Free()+len(h.nic.posted), "host %d leaks frames", i)
		require.Zero(w.t, h.pool.Received(), "host %d: frames counted as received", i)
	}
}

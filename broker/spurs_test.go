package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// led is the way that a listener's packets take, and whether it is on.
func (h *fakeHost) led(k key) (way steer.Way, on bool) {
	h.see(func(p *fakeProgram) bool {
		way, on = p.ways[entry{0, k}], p.listeners[entry{0, k}]
		return on
	})
	return way, on
}

func firstSpur(n int) steer.Way { return steer.Way{First: steer.FirstSpur, Spurs: n} }

// Two programs that have nothing to do with each other are both served on one device: the first by its queues, the other by spurs.
func TestStrangersGetSpurs(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	one, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(one))
	require.Len(t, a.vis, 2)
	g := b.listen(other)
	require.Empty(t, b.vis, "it may be about to show a listener that the first has")
	b.ready(g)
	b.gets(2)
	require.True(t, b.vis[proto.QueueRef{Ifindex: 7, Queue: steer.FirstSpur}])
	until(t, "both listeners are on", func() bool { _, on := h.led(portOf(other)); return on })
	way, on := h.led(portOf(one))
	require.True(t, on && way == steer.Way{}, "the first has the device's own queues")
	way, _ = h.led(portOf(other))
	require.Equal(t, firstSpur(2), way)

	// A third that serves with the second shares its spurs.
	c := h.engine()
	c.ready(c.listen(other))
	require.Len(t, b.yield().Queues, 1)
	c.gets(1)
	until(t, "four queues", func() bool { return h.see(func(p *fakeProgram) bool { return len(p.queues) == 4 }) })

	// When the first goes the others stay where their connections come.
	a.c.Close()
	until(t, "the first is gone", func() bool { return h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 }) })
	way, on = h.led(portOf(other))
	require.True(t, on && way == firstSpur(2))
	require.Equal(t, 2, h.openSpurs())
}

func (h *fakeHost) openSpurs() (n int) {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	for name, count := range h.k.open {
		if len(name) > 5 && name[:6] == "7/spur" {
			n += count
		}
	}
	return n
}

// A worker shows its listeners one by one. What looks like a stranger at first, and then shows a listener of the server's, is none.
func TestALateListenerIsNoStranger(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	old, fresh := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(old))
	g := b.listen(fresh)
	b.ready(g)
	b.ready(b.listen(old))
	require.Len(t, a.yield().Queues, 1)
	b.gets(1)
	require.Zero(t, h.openSpurs())

	// And one that has spurs by then leaves them for the server's queues.
	c := h.engine()
	alone := kernelListener(t, "127.0.0.1:0")
	c.ready(c.listen(alone))
	c.gets(2)
	require.Equal(t, 2, h.openSpurs())
	c.ready(c.listen(old))
	c.ready(c.listen(fresh))
	require.Len(t, c.yield().Queues, 2)
	until(t, "its spurs are gone", func() bool { return h.openSpurs() == 0 })
}

// What strangers hold goes with them, and what the device was given comes off it.
func TestSpursGoWithTheirProgram(t *testing.T) {
	h := newFakeHost(t, 1, func(c *Config) { c.Keep = -1 })
	one, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(one))
	b.ready(b.listen(other))
	b.gets(1)
	until(t, "on", func() bool { _, on := h.led(portOf(other)); return on })
	b.c.Close()
	until(t, "its entry and its spur are gone", func() bool { _, on := h.led(portOf(other)); return !on && h.openSpurs() == 0 })
	_, on := h.led(portOf(one))
	require.True(t, on)
	a.c.Close()
	until(t, "the XDP program is taken off", func() bool { return h.see(func(p *fakeProgram) bool { return p.closed }) })
}

// Where no spur can be made the kernel serves the stranger, until the first program leaves.
func TestWithoutSpursStrangersWait(t *testing.T) {
	h := newFakeHost(t, 1, nil)
	h.k.spurErr = errors.New("no veth here")
	one, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(one))
	b.ready(b.listen(other))
	until(t, "it was tried", func() bool {
		h.b.mu.Lock()
		defer h.b.mu.Unlock()
		for _, s := range h.b.spaces {
			return s.devices[7].noSpurs != nil
		}
		return false
	})
	a.c.Close()
	b.gets(1)
	require.True(t, b.vis[proto.QueueRef{Ifindex: 7, Queue: 0}])
}

// What a host can't make now it may be able to make later: spurs are tried again, ever later, and both kinds of programs get theirs.
func TestSpursAreTriedAgain(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	h.k.spurErr = unix.ENOMEM
	one, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b, c := h.engine(), h.engine(), h.engine()
	a.ready(a.listen(one))
	b.ready(b.listen(other))
	tried := func() (n int) { h.k.set(func() { n = h.k.spurTries }); return n }
	began := time.Now()
	until(t, "three attempts, of two spurs each", func() bool { return tried() >= 6 })
	require.Greater(t, time.Since(began), 3*shortestSpurPause, "a pause, and one that is twice as long")
	_, _, err := c.connect(t)
	require.ErrorContains(t, err, "others have its queues")
	h.k.set(func() { h.k.spurErr = nil })
	b.gets(2)
	way, _ := h.led(portOf(other))
	until(t, "its listener is on", func() bool { way, _ = h.led(portOf(other)); return way == firstSpur(2) })
	_, _, err = c.connect(t)
	require.NoError(t, err)
	require.True(t, c.has(firstPrivate))
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for _, s := range h.b.spaces {
		require.Zero(t, s.devices[7].spurDelay, "the next failure is a first one again")
	}
}

// A kernel that has no spurs is not asked again.
func TestAKernelWithoutSpursIsAskedOnce(t *testing.T) {
	h := newFakeHost(t, 1, nil)
	h.k.spurErr = unix.EOPNOTSUPP
	a, b := h.engine(), h.engine()
	a.ready(a.listen(kernelListener(t, "127.0.0.1:0")))
	b.ready(b.listen(kernelListener(t, "127.0.0.1:0")))
	tried := func() (n int) { h.k.set(func() { n = h.k.spurTries }); return n }
	until(t, "it was tried", func() bool { return tried() == 1 })
	time.Sleep(2 * shortestSpurPause)
	require.Equal(t, 1, tried())
}

// On a card with hidden queues rules lead to them, and the XDP program from there to the spurs.
func TestSpursOfHiddenQueues(t *testing.T) {
	nic := aCard()
	before := nic.State()
	h := hides(t, 2, nic)
	one, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(one))
	b.ready(b.listen(other))
	b.gets(2)
	until(t, "rules lead both ports to hidden queues", func() bool {
		return steered(nic, portOf(one)) == 1 && steered(nic, portOf(other)) == 1
	})
	way, _ := h.led(portOf(other))
	require.Equal(t, firstSpur(2), way)
	b.c.Close()
	until(t, "the stranger's rule is gone", func() bool { return steered(nic, portOf(other)) == 0 })
	a.c.Close()
	until(t, "the card is as it was", func() bool { return len(nic.State().Rules) == 0 && len(nic.State().Contexts) == 1 })
	require.Equal(t, before, nic.State())
}

// Numbers of spurs are given once, and again when they are free, in whatever order they came and went.
func TestNumbersOfSpurs(t *testing.T) {
	d := &device{space: &space{}, prog: &fakeProgram{k: newFakeKernel(1)}}
	take := func(n int) (int, bool) {
		way, ok := d.freeWay(n)
		if ok {
			d.newSpurs(way)
		}
		return way.First - steer.FirstSpur, ok
	}
	for i, n := range []int{4, 2, 3} {
		at, ok := take(n)
		require.True(t, ok)
		require.Equal(t, []int{0, 4, 6}[i], at)
	}
	d.spurs = append(d.spurs[:1:1], d.spurs[2]) // 4 and 5 are free
	for i, n := range []int{1, 1, 1, 2} {
		at, ok := take(n)
		require.True(t, ok)
		require.Equal(t, []int{4, 5, 9, 10}[i], at)
	}
	_, ok := take(steer.MaxSpurs)
	require.False(t, ok)
	seen := map[int]bool{}
	for _, s := range d.spurs {
		for _, q := range s.queues {
			require.False(t, seen[q.index])
			seen[q.index] = true
		}
	}
}

func TestWhoFinishesChecksums(t *testing.T) {
	veth, virtio := &device{netDevice: netDevice{Driver: "veth"}}, &device{netDevice: netDevice{Driver: "virtio_net"}}
	require.False(t, veth.ownChecksum())
	require.True(t, virtio.ownChecksum(), "the kernel does not, on 6.12")
	require.True(t, (&device{netDevice: veth.netDevice, trunk: veth}).ownChecksum(), "on a spur nobody does")
}

package broker

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

func TestNoPacketComesBeforeReady(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g := e.listen(l)
	require.True(t, g.Memory)
	require.Len(t, g.VIs, 2)
	require.False(t, h.see(func(p *fakeProgram) bool { return len(p.queues) > 0 || len(p.listeners) > 0 }), "no frames are posted yet")
	e.ready(g)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 && p.listeners[entry{0, portOf(l)}] }))

	again := e.listen(l)
	require.False(t, again.Memory, "a process has one umem")
	require.Equal(t, g.Lease, again.Lease)
	require.Empty(t, again.VIs)
}

func TestANewcomerGetsItsShareByYield(t *testing.T) {
	h := newFakeHost(t, 4, nil)
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	g := b.listen(l)
	require.Empty(t, g.VIs, "all queues are the first one's until it yields")
	require.Contains(t, g.Notes[0], "waits for a queue of test[")
	b.ready(g)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.quiet[2] && p.quiet[3] && !p.quiet[0] && len(p.queues) == 4 }),
		"while queues are given up, their SYNs go to the kernel")
	y := a.yield()
	require.Len(t, y.Queues, 2)
	b.gets(2)
	require.True(t, h.see(func(p *fakeProgram) bool { return !p.quiet[2] && !p.quiet[3] && len(p.queues) == 4 }))

	b.c.Close()
	a.gets(2)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 4 }), "the rest goes back")
}

// Who has no queue lives on what the kernel accepts; it gets as much more as there are such.
func TestMoreWorkersThanQueues(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	share := func(want steer.Flags) func() bool {
		return func() bool { return h.see(func(p *fakeProgram) bool { return p.share == want }) }
	}
	a, b, c := h.engine(), h.engine(), h.engine()
	a.ready(a.listen(l))
	b.ready(b.listen(l))
	a.yield()
	b.gets(1)
	require.True(t, share(0)())
	g := c.listen(l)
	c.ready(g)
	require.Empty(t, g.VIs)
	require.Contains(t, g.Notes[0], "the kernel gets 33 % of the connections")
	require.True(t, share(85)())
	d := h.engine()
	d.ready(d.listen(l))
	require.True(t, share(128)())
	a.c.Close()
	c.gets(1)
	until(t, "the share of three", share(85))
	d.c.Close()
	until(t, "the share of two", share(0))
}

func TestTheSecondListenerDoesNotDisturb(t *testing.T) {
	h := newFakeHost(t, 4, nil)
	l1, l2 := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l1))
	a.ready(a.listen(l2))
	g := b.listen(l1)
	b.ready(g)
	require.Contains(t, g.Notes[0], "which listens elsewhere")
	require.True(t, h.see(func(p *fakeProgram) bool { return !p.quiet[2] && p.listeners[entry{0, portOf(l2)}] }),
		"whoever lacks a listener gets no queue: its packets would meet nobody")
	b.ready(b.listen(l2))
	a.yield()
	b.gets(2)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 4 && len(p.listeners) == 2 }))

	l3 := kernelListener(t, "127.0.0.1:0")
	g3 := a.listen(l3)
	a.ready(g3)
	require.False(t, h.see(func(p *fakeProgram) bool { return p.listeners[entry{0, portOf(l3)}] }), "on only when all owners have it")
	b.ready(b.listen(l3))
	require.True(t, h.see(func(p *fakeProgram) bool { return p.listeners[entry{0, portOf(l3)}] }))
}

func TestWhoDoesNotYieldKeeps(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.YieldTimeout = 20 * time.Millisecond })
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	b.ready(b.listen(l))
	var y proto.Yield
	p := a.event(proto.OpYield, &y)
	until(t, "the queue to be noisy again", func() bool {
		return h.see(func(p *fakeProgram) bool { return !p.quiet[1] && len(p.queues) == 2 })
	})
	for _, q := range y.Queues {
		delete(a.vis, q)
	}
	require.NoError(t, a.c.Answer(p, "", nil), "late, but it has closed the sockets")
	b.gets(1)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 }))
}

// A process that gives its queue up and ends may be seen to end before its answer is read. The queue stays quiet until it has another owner: a segment of a
// connection that is on its way to the kernel, of whichever process, must not come there before the connection.
func TestAQueueStaysQuietWhenItsOwnerEnds(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	b.ready(b.listen(l))
	var y proto.Yield
	a.event(proto.OpYield, &y)
	quiet := func(p *fakeProgram) bool { return p.quiet[y.Queues[0].Queue] }
	require.True(t, h.see(quiet))
	a.c.Close()
	until(t, "the owner to be gone", func() bool { return len(h.b.Status().Leases) == 1 })
	require.True(t, h.see(quiet))
	b.gets(2)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 && !p.quiet[0] && !p.quiet[1] }))
}

func TestDeathWhileYielding(t *testing.T) {
	for _, who := range []string{"owner", "newcomer"} {
		t.Run(who, func(t *testing.T) {
			h := newFakeHost(t, 2, nil)
			l := kernelListener(t, "127.0.0.1:0")
			a, b := h.engine(), h.engine()
			a.ready(a.listen(l))
			b.ready(b.listen(l))
			var y proto.Yield
			p := a.event(proto.OpYield, &y)
			if who == "owner" {
				a.c.Close()
				b.gets(2)
			} else {
				b.c.Close()
				until(t, "the newcomer to be gone", func() bool { return len(h.b.Status().Leases) == 1 })
				for _, q := range y.Queues {
					delete(a.vis, q)
				}
				require.NoError(t, a.c.Answer(p, "", nil))
				a.gets(1)
			}
			require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 && !p.quiet[0] && !p.quiet[1] }))
		})
	}
}

func TestABusyQueueIsTriedAgain(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	h.k.openErr["7/1"] = unix.EBUSY
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g := e.listen(l)
	require.Len(t, g.VIs, 1)
	e.ready(g)
	h.k.set(func() { delete(h.k.openErr, "7/1") })
	e.gets(1)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.queues) == 2 }))
}

func TestQueuesTheDeviceLacks(t *testing.T) {
	h := newFakeHost(t, 4, nil)
	h.k.openErr["7/2"], h.k.openErr["7/3"] = unix.EINVAL, unix.EINVAL
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	g := a.listen(l)
	require.Len(t, g.VIs, 2)
	a.ready(g)
	b.ready(b.listen(l))
	a.yield()
	b.gets(1)
}

func TestAVanishedDeviceIsToldAndForgotten(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	b.ready(b.listen(l))
	h.k.set(func() { h.k.openErr["7/1"] = unix.ENODEV })
	a.yield()
	var g proto.Gone
	a.event(proto.OpGone, &g)
	require.Equal(t, 7, g.Ifindex)
	until(t, "the device to be forgotten", func() bool { return len(h.b.Status().Devices) == 0 })
	h.k.set(func() { delete(h.k.openErr, "7/1") })
	require.Len(t, b.listen(l).VIs, 2, "a new one with the same number is a new one")
}

// An engine that was asked for its queues while it got ready for a connection has sent a SYN by now.
func TestAnswersComeToAQueueThatIsAskedFor(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	a, b := h.engine(), h.engine()
	fds, _ := bound(t, 1, 0)
	_, err := a.lease(fds)
	require.NoError(t, err)
	l := kernelListener(t, "127.0.0.1:0")
	require.Empty(t, b.listen(l).VIs)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.quiet[0] && p.quiet[1] && len(p.queues) == 0 }))
	a.ready(proto.Grant{})
	require.True(t, h.see(func(p *fakeProgram) bool { return p.quiet[0] && p.quiet[1] && len(p.queues) == 2 }), "quiet, but not deaf")
	a.yield()
	b.gets(2)
	var c proto.Closed
	a.event(proto.OpClosed, &c)
	require.Len(t, c.Queues, 2, "what was posted there is free again")
}

// A listener that its program closes once it has been told of its queues is closed: the broker has no descriptor of it any more.
func TestAShownListenerIsNotKept(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	for range 200 {
		l := kernelListener(t, "127.0.0.1:0")
		g := e.listen(l)
		require.NoError(t, l.Close())
		_, err := net.Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, unix.ECONNREFUSED)
		require.NoError(t, e.c.Tell(proto.OpUnlisten, proto.Unlisten{Cookie: g.Cookie}))
	}
}

func TestTheLastListenerGivesAllBack(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g := e.listen(l)
	e.ready(g)
	_, err := e.c.Call(proto.OpUnlisten, proto.Unlisten{Cookie: g.Cookie}, nil, nil, patience)
	require.NoError(t, err)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.listeners[entry{0, portOf(l)}] && p.quiet[0] && p.quiet[1] }),
		"connections are still to be handed over")
	e.yield()
	until(t, "the program to be gone", func() bool { return h.see(func(p *fakeProgram) bool { return p.closed && len(p.listeners) == 0 }) })
	g2 := e.listen(l)
	require.False(t, g2.Memory)
	require.Len(t, g2.VIs, 2, "it may come back")
}

func TestOldConnectionsKeepTheirEntry(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l1, l2 := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g1 := e.listen(l1)
	e.ready(g1)
	e.ready(e.listen(l2))
	k := portOf(l1)
	slot := e.st.Add(&proto.Entry{State: 1, Local: addrPort(k), Remote: addrPort(key{k.ip, 4000})})
	_, err := e.c.Call(proto.OpUnlisten, proto.Unlisten{Cookie: g1.Cookie}, nil, nil, patience)
	require.NoError(t, err)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.listeners[entry{0, k}] && p.listeners[entry{0, portOf(l2)}] }))
	e.st.Remove(slot)
	until(t, "the entry to go with the last connection", func() bool {
		return h.see(func(p *fakeProgram) bool { return !p.listeners[entry{0, k}] && p.listeners[entry{0, portOf(l2)}] })
	})
}

func TestStopAsksForTheQueues(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	e.ready(e.listen(l))
	done := make(chan struct{})
	go func() { h.b.Close(); close(done) }()
	e.yield()
	<-done
	require.True(t, h.see(func(p *fakeProgram) bool { return p.closed }))
	_, err := e.c.Call(proto.OpListen, proto.Listen{}, nil, nil, patience)
	require.ErrorIs(t, err, proto.ErrClosed)
}

// A worker that was ready before the queues' owner was gets its part when that one is.
func TestReadyBeforeTheOwner(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	first, second := h.engine(), h.engine()
	g := first.listen(l)
	require.Len(t, g.VIs, 2)
	second.ready(second.listen(l))
	first.ready(g)
	require.Len(t, first.yield().Queues, 1)
	second.gets(1)
}

package broker

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// ofFlow is the way that a flow's packets take, false if there is no entry of it.
func (h *fakeHost) ofFlow(f proto.Connect) (way steer.Way, on bool) {
	t := steer.Tuple{Local: f.Local, Remote: f.Remote}
	h.see(func(p *fakeProgram) bool {
		way, on = p.flowWays[t], p.flows[steer.ConnectEntry{Tuple: t}]
		return true
	})
	return way, on
}

func private(n int) steer.Way { return steer.Way{First: firstPrivate + n, Spurs: 1} }

// Beside a server, programs that only connect have a spur each, and each one's flows lead to its own.
func TestWhoConnectsBesideAServer(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Keep = -1 })
	server := h.engine()
	l := kernelListener(t, "127.0.0.1:0")
	server.ready(server.listen(l))
	require.Len(t, server.vis, 2)
	a, b := h.engine(), h.engine()
	_, fa, err := a.connect(t)
	require.NoError(t, err)
	_, fb, err := b.connect(t)
	require.NoError(t, err)
	require.True(t, len(a.vis) == 1 && a.has(firstPrivate))
	require.True(t, len(b.vis) == 1 && b.has(firstPrivate+1))
	for i, f := range []proto.Connect{fa, fb} {
		way, on := h.ofFlow(f)
		require.True(t, on)
		require.Equal(t, private(i), way)
	}
	fds, ports := bound(t, 8, 0)
	_, err = a.lease(fds)
	require.NoError(t, err)
	way, on := h.led(key{here, ports[7]})
	require.True(t, on)
	require.Equal(t, private(0), way, "a block of ports, too")
	require.Len(t, a.vis, 1)

	// What ends leaves nothing, and the others as they are.
	a.c.Close()
	until(t, "its spur and entries are gone", func() bool {
		_, on := h.led(key{here, ports[7]})
		_, flow := h.ofFlow(fa)
		return !on && !flow && h.openSpurs() == 1
	})
	_, on = h.ofFlow(fb)
	require.True(t, on)
	way, on = h.led(portOf(l))
	require.True(t, on && way == steer.Way{})
	server.c.Close()
	until(t, "the server is gone", func() bool { _, on := h.led(portOf(l)); return !on })
	_, on = h.ofFlow(fb)
	require.True(t, on, "and its connections live")
	b.c.Close()
	until(t, "the XDP program is taken off", func() bool { return h.see(func(p *fakeProgram) bool { return p.closed }) })
}

// Two that only connect, and then a server beside them: each has what is its own.
func TestWhoConnectsBesideWhoConnects(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	a, b, server := h.engine(), h.engine(), h.engine()
	_, fa, err := a.connect(t)
	require.NoError(t, err)
	require.Len(t, a.vis, 2, "the first has the device's queues")
	a.ready(proto.Grant{})
	a.st.Add(&proto.Entry{State: 1, Local: fa.Local, Remote: fa.Remote})
	_, fb, err := b.connect(t)
	require.NoError(t, err)
	require.True(t, len(b.vis) == 1 && b.has(firstPrivate))
	way, on := h.ofFlow(fa)
	require.True(t, on && way == steer.Way{})
	way, on = h.ofFlow(fb)
	require.True(t, on && way == private(0))

	l := kernelListener(t, "127.0.0.1:0")
	server.ready(server.listen(l))
	server.gets(2)
	until(t, "the server's listener is on", func() bool { way, on := h.led(portOf(l)); return on && way == firstSpur(2) })
	_, fb, err = b.connect(t)
	require.NoError(t, err)
	way, _ = h.ofFlow(fb)
	require.Equal(t, private(0), way)
}

// A program that connects first, and then turns out to be one more worker of the server, shares the server's queues; its spur stays for
// its connections, and goes with the last of them.
func TestAWorkerThatConnectsFirst(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Keep, c.Hold = -1, 1 })
	l := kernelListener(t, "127.0.0.1:0")
	a, b := h.engine(), h.engine()
	a.ready(a.listen(l))
	_, f, err := b.connect(t)
	require.NoError(t, err)
	b.ready(b.listen(l))
	require.Len(t, a.yield().Queues, 1)
	b.gets(1)
	require.True(t, len(b.vis) == 2 && b.has(firstPrivate))
	way, on := h.led(portOf(l))
	require.True(t, on && way == steer.Way{})
	_, err = b.c.Call(proto.OpDisconnect, proto.Disconnect{Local: f.Local, Remote: f.Remote}, nil, nil, patience)
	require.NoError(t, err)
	y := b.yield()
	require.Equal(t, []proto.QueueRef{{Ifindex: 7, Queue: firstPrivate}}, y.Queues)
	until(t, "the spur is gone", func() bool { return h.openSpurs() == 0 })
	require.Len(t, b.vis, 1)
}

// Where no spur can be made the kernel connects, and nothing is left of the try.
func TestWithoutSpursTheKernelConnects(t *testing.T) {
	h := newFakeHost(t, 1, nil)
	h.k.spurErr = errors.New("no veth here")
	server, e := h.engine(), h.engine()
	server.ready(server.listen(kernelListener(t, "127.0.0.1:0")))
	for range 2 {
		_, f, err := e.connect(t)
		require.ErrorContains(t, err, "others have its queues")
		_, on := h.ofFlow(f)
		require.False(t, on)
	}
	require.Empty(t, e.vis)
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for _, s := range h.b.spaces {
		require.Len(t, s.devices[7].members, 1)
	}
}

// There is an end to spurs, and those that were given back are given again.
func TestPrivateSpursRunOut(t *testing.T) {
	d := &device{space: &space{b: &Broker{}}, prog: &fakeProgram{k: newFakeKernel(1)}}
	d.space.b.log = testLog{t}
	who := &client{}
	for i := range steer.MaxSpurs / 2 {
		s := d.aside(who)
		require.Equal(t, firstPrivate+i, s.queues[0].index)
		s.members = []*client{who}
	}
	require.Nil(t, d.aside(who))
	gone := d.spurs[5]
	d.spurs = append(d.spurs[:5:5], d.spurs[6:]...)
	require.Equal(t, gone.queues[0].index, d.aside(who).queues[0].index)
	way, ok := d.freeWay(steer.MaxSpurs / 2)
	require.True(t, ok, "servers have the other half")
	require.Equal(t, steer.FirstSpur, way.First)
	_, ok = d.freeWay(steer.MaxSpurs/2 + 1)
	require.False(t, ok)
}

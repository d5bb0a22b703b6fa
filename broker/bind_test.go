package broker

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// oldHost is one whose kernel wants rings mapped before queues are bound.
func oldHost(t *testing.T, queues int) *fakeHost {
	h := newFakeHost(t, queues, nil)
	h.k.unbound = true
	return h
}

func (h *fakeHost) active(n int) func() bool {
	return func() bool { return h.see(func(p *fakeProgram) bool { return len(p.queues) == n }) }
}

func (e *engine) bind(queue int) (l afxdp.Layout, err error) {
	var b proto.Bound
	if _, err = e.c.Call(proto.OpBind, proto.QueueRef{Ifindex: 7, Queue: queue}, nil, &b, patience); err == nil {
		err = json.Unmarshal(b.Layout, &l)
	}
	return l, err
}

// No packet goes to a queue before it is bound, whatever its owner says, and a queue is bound once, for its owner.
func TestNoPacketsBeforeBind(t *testing.T) {
	h := oldHost(t, 2)
	e, other := h.engine(), h.engine()
	g := e.listen(kernelListener(t, "127.0.0.1:0"))
	require.Len(t, g.VIs, 2)
	for _, v := range g.VIs {
		require.Contains(t, string(v.Layout), `"unbound":true`)
	}
	e.ready(g)
	require.True(t, h.active(0)())
	_, err := other.bind(0)
	require.ErrorContains(t, err, "does not wait for that")
	l, err := e.bind(0)
	require.NoError(t, err)
	require.False(t, l.Unbound)
	e.ready(g)
	require.True(t, h.active(1)())
	_, err = e.bind(0)
	require.ErrorContains(t, err, "does not wait for that")
	_, err = e.bind(1)
	require.NoError(t, err)
	e.ready(g)
	require.True(t, h.active(2)())
}

// The last owner's socket may be open for a moment: the next one's bind waits. One that fails for good loses the queue, and gets it
// with another socket when it can be had.
func TestBindWaitsAndFails(t *testing.T) {
	h := oldHost(t, 1)
	e := h.engine()
	h.k.set(func() { h.k.bindErr["7/0"] = unix.EBUSY })
	g := e.listen(kernelListener(t, "127.0.0.1:0"))
	require.Len(t, g.VIs, 1)
	done := time.AfterFunc(50*time.Millisecond, func() { h.k.set(func() { delete(h.k.bindErr, "7/0") }) })
	defer done.Stop()
	_, err := e.bind(0)
	require.NoError(t, err)
	e.ready(g)
	require.True(t, h.active(1)())

	second := h.engine()
	h.k.set(func() { h.k.bindErr["7/0"] = unix.EBUSY })
	e.c.Close()
	g = second.listen(kernelListener(t, "127.0.0.1:0"))
	if len(g.VIs) == 0 {
		second.gets(1)
	}
	_, err = second.bind(0)
	require.ErrorContains(t, err, "device or resource busy")
	h.k.set(func() { delete(h.k.bindErr, "7/0") })
	second.gets(1)
	_, err = second.bind(0)
	require.NoError(t, err)
	second.ready(g)
	require.True(t, h.active(1)())
	until(t, "the sockets that were not bound to be closed", func() (ok bool) {
		h.k.set(func() { ok = h.k.open["7/0"] == 1 })
		return ok
	})
}

// A program that dies, or never asks for its sockets to be bound, leaves its queues to others.
func TestUnboundQueuesOfTheDeadAndTheSlow(t *testing.T) {
	h := oldHost(t, 2)
	dead := h.engine()
	require.Len(t, dead.listen(kernelListener(t, "127.0.0.1:0")).VIs, 2)
	dead.c.Close()
	until(t, "its sockets to be closed", func() (ok bool) {
		h.k.set(func() { ok = h.k.open["7/0"]+h.k.open["7/1"] == 0 })
		return ok
	})
	e := h.engine()
	g := e.listen(kernelListener(t, "127.0.0.1:0"))
	for q := range 2 {
		_, err := e.bind(q)
		require.NoError(t, err)
	}
	e.ready(g)
	require.True(t, h.active(2)())
}

// The whole order on the real kernel, by a program without privilege, which maps first; also where nothing guards the socket.
func TestAnUnprivilegedProgramMapsFirst(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	b := realHost(t, func(c *Config) { c.BindLate = true })
	p, port := serving(t, bed, b, "0.0.0.0")
	require.Equal(t, "4", p.do("bound"))
	knock(t, bed, bed.Server.IPv4, port)
	bedtest.Until(t, "a SYN in the ring", func() bool { return p.do("received") != "0" })
	p.kill()
	bedtest.Until(t, "the lease to go", func() bool { return len(b.Status().Leases) == 0 })
	again, port := serving(t, bed, b, "0.0.0.0")
	require.Equal(t, "4", again.do("bound"))
	knock(t, bed, bed.Server.IPv4, port)
	bedtest.Until(t, "a SYN in the next one's ring", func() bool { return again.do("received") != "0" })
	b.Close()
}

// A kernel before 6.4 without a guard: queues are refused with the reason, unless rings can be mapped all the same.
func TestUnguarded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for XDP sockets")
	}
	bed := bedtest.New(t, testbed.Config{})
	w := &binding{old: true}
	w.once.Do(func() { w.guarded = unix.EPERM })
	mem, err := afxdp.NewMemory("sluice-test", 64)
	require.NoError(t, err)
	defer mem.Close()
	require.NoError(t, bed.Server.Do(func() error {
		q, err := w.open(bed.Server.Ifindex, 0, mem, afxdp.RingConfig{})
		if newBinding(false).old {
			require.ErrorIs(t, err, errUnguarded)
			return nil
		}
		require.NoError(t, err)
		require.False(t, q.Layout().Unbound)
		return q.Close()
	}))
}

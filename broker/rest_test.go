package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
)

func (e *engine) unlisten(g proto.Grant, stays bool) {
	e.t.Helper()
	_, err := e.c.Call(proto.OpUnlisten, proto.Unlisten{Cookie: g.Cookie, Stays: stays}, nil, nil, patience)
	require.NoError(e.t, err)
}

// unasked tells that the broker asks for nothing, for as long as a rest takes and longer.
func (e *engine) unasked() {
	e.t.Helper()
	for end := time.Now().Add(2 * restPause); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p, err := e.c.Next()
		require.NoError(e.t, err)
		require.Nil(e.t, p)
	}
}

// A server that closes its listener and listens again keeps its queues; between the two the kernel has new connections.
func TestAListenerThatComesBack(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	l := kernelListener(t, "127.0.0.1:0")
	e := h.engine()
	g := e.listen(l)
	e.ready(g)
	for range 3 {
		e.unlisten(g, true)
		require.True(t, h.see(func(p *fakeProgram) bool { return !p.quiet[0] && !p.quiet[1] }))
		l.Close()
		l = kernelListener(t, l.Addr().String())
		g = e.listen(l)
		require.Empty(t, g.VIs, "it has them")
		e.ready(g)
	}
	e.unasked()
	require.True(t, h.see(func(p *fakeProgram) bool { return p.listeners[entry{0, portOf(l)}] }))
	e.unlisten(g, true)
	require.Len(t, e.yield().Queues, 2, "not for ever")
}

// Who waits for the queues, and who comes, gets them at once.
func TestARestIsOverWhenSomebodyComes(t *testing.T) {
	for _, waits := range []bool{false, true} {
		h := newFakeHost(t, 1, nil)
		l := kernelListener(t, "127.0.0.1:0")
		old, heir := h.engine(), h.engine()
		g := old.listen(l)
		old.ready(g)
		slot := old.st.Add(&proto.Entry{State: 1, Local: addrPort(portOf(l)), Remote: addrPort(key{portOf(l).ip, 4000})})
		if waits {
			heir.listen(l)
		}
		old.unlisten(g, true)
		began := time.Now()
		if !waits {
			heir.listen(l)
		}
		old.yield()
		require.Less(t, time.Since(began), restPause)
		old.st.Remove(slot)
		heir.gets(1)
	}
}

// An exit waits for the queues to be asked back.
func TestNoRestForAnExit(t *testing.T) {
	h := newFakeHost(t, 1, nil)
	e := h.engine()
	g := e.listen(kernelListener(t, "127.0.0.1:0"))
	e.ready(g)
	began := time.Now()
	e.unlisten(g, false)
	e.yield()
	require.Less(t, time.Since(began), restPause)
}

package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func (k *fakeKernel) busy(queue string, on bool) {
	k.set(func() {
		delete(k.openErr, queue)
		if on {
			k.openErr[queue] = unix.EBUSY
		}
	})
}

// TestQueuesOneByOne: a connect that needs all queues, one of which is closed by the kernel in its own time, keeps the other while it waits. (It gave that back, and
// each time met the one that it had itself closed.)
func TestQueuesOneByOne(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Keep = -1 })
	h.k.closing = 30 * time.Millisecond
	h.k.busy("7/1", true)
	time.AfterFunc(100*time.Millisecond, func() { h.k.busy("7/1", false) })
	e := h.engine()
	_, f, err := e.connect(t)
	require.NoError(t, err)
	require.Len(t, e.vis, 2)
	_, on := h.ofFlow(f)
	require.True(t, on)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.k.opens == 2 }))
}

// TestWhoGathersQueuesHoldsNobodyUp: another program that connects meanwhile has a spur at once. What is not to be had in time leaves nothing behind.
func TestWhoGathersQueuesHoldsNobodyUp(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Keep = -1 })
	h.k.busy("7/1", true)
	a, b := h.engine(), h.engine()
	failed := make(chan error, 1)
	go func() {
		_, _, err := a.connect(t)
		failed <- err
	}()
	until(t, "one of the queues", func() bool { return h.see(func(p *fakeProgram) bool { return p.k.open["7/0"] == 1 }) })
	began := time.Now()
	_, f, err := b.connect(t)
	require.NoError(t, err)
	require.Less(t, time.Since(began), connectPatience/2)
	way, on := h.ofFlow(f)
	require.True(t, on)
	require.Equal(t, private(0), way)
	require.ErrorContains(t, <-failed, errNoQueue.Error())
	require.Empty(t, a.vis)
	require.True(t, h.see(func(p *fakeProgram) bool { return p.k.open["7/0"] == 0 }))
	h.k.busy("7/1", false)
	_, _, err = a.connect(t)
	require.NoError(t, err)
	require.Len(t, a.vis, 2)
}

// TestWhoEndsWhileItGathersQueues, or whose device does, leaves nothing.
func TestWhoEndsWhileItGathersQueues(t *testing.T) {
	for what, end := range map[string]func(h *fakeHost, e *engine){
		"the program": func(_ *fakeHost, e *engine) { _ = unix.Shutdown(e.c.FD(), unix.SHUT_RDWR) },
		"the device":  func(h *fakeHost, _ *engine) { h.k.set(func() { h.k.openErr["7/1"] = unix.ENODEV }) },
	} {
		t.Run(what, func(t *testing.T) {
			h := newFakeHost(t, 2, func(c *Config) { c.Keep = -1 })
			h.k.busy("7/1", true)
			e := h.engine()
			failed := make(chan error, 1)
			go func() {
				_, _, err := e.connect(t)
				failed <- err
			}()
			until(t, "one of the queues", func() bool { return h.see(func(p *fakeProgram) bool { return p.k.open["7/0"] == 1 }) })
			end(h, e)
			until(t, "it is given back", func() bool {
				return h.see(func(p *fakeProgram) bool { return p.k.open["7/0"] == 0 })
			})
			require.Error(t, <-failed)
		})
	}
}

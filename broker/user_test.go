package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/policy"
)

func parse(t *testing.T, text string, args ...any) *policy.Policy {
	p, err := policy.Parse(fmt.Appendf(nil, text, args...))
	require.NoError(t, err)
	return p
}

func TestThePolicyDecidesWhoListens(t *testing.T) {
	mine, other := kernelListener(t, "127.0.0.1:0"), kernelListener(t, "127.0.0.1:0")
	h := newFakeHost(t, 2, func(c *Config) {
		c.Policy = parse(t, "rules: [{devices: [eth0], listen: [%d]}, {devices: [eth1], listen: [all], connect: true}]", portOf(mine).port)
	})
	e := h.engine()
	require.Len(t, e.listen(mine).VIs, 2)
	_, err := e.tryListen(other)
	require.ErrorContains(t, err, fmt.Sprintf("the policy has no rule that lets uid 0 listen on port %d of eth0", portOf(other).port))
	require.ErrorContains(t, h.only().mayConnect("eth0"), "connect by eth0")
	require.NoError(t, h.only().mayConnect("eth1"))
}

// only is the broker's one client.
func (h *fakeHost) only() *client {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for c := range h.b.clients {
		return c
	}
	h.t.Fatal("no client")
	return nil
}

// asUser makes the broker take all its clients for another user's.
func (h *fakeHost) asUser(uid uint32) {
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for c := range h.b.clients {
		c.uid = uid
	}
}

func TestAUsersMemoryIsBounded(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) {
		c.Policy = parse(t, "rules: [{listen: [all]}]\nlimits: {memory: 2}") // the host's programs have 1 MiB each
	})
	l := kernelListener(t, "127.0.0.1:0")
	a, b, c, d := h.engine(), h.engine(), h.engine(), h.engine()
	h.asUser(1000)
	a.listen(l)
	b.listen(l)
	_, err := c.tryListen(l)
	require.ErrorContains(t, err, "uid 1000 would have 3 MiB of packet memory, and the policy allows 2")
	a.c.Close()
	until(t, "the first to be gone", func() bool { _, err := c.tryListen(l); return err == nil })
	h.asUser(0)
	d.listen(l)
}

func TestAUsersProgramsAreBounded(t *testing.T) {
	b := &Broker{cfg: Config{Policy: parse(t, "limits: {processes: 2}")}, clients: map[*client]bool{}}
	add := func(uid uint32, pid int) error {
		c := &client{b: b, uid: uid, pid: pid}
		b.clients[c] = true
		return b.overProcesses(c)
	}
	b.clients[&client{b: b}] = true // a channel that has not said hello is nobody's
	require.NoError(t, add(1000, 1))
	require.NoError(t, add(1000, 2))
	require.NoError(t, add(1001, 3), "another user")
	require.ErrorContains(t, add(1000, 4), "uid 1000 has 2 programs here already")
	for pid := range 5 {
		require.NoError(t, add(0, 10+pid), "root has no limit")
	}
}

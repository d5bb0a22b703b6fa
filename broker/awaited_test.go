package broker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// twoBrokers are a broker that will be killed, and how to start the next one, which would wait for an hour.
func twoBrokers(t *testing.T) (first *role, socket string, next func() *Broker) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	socket = socketPath(t)
	pin := filepath.Join(filepath.Dir(socket), "bpf", "sluice")
	first = startRole(t, nil, "broker", 0, socket, pin)
	require.Equal(t, "<nil>", first.line())
	return first, socket, func() *Broker {
		return realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = socket, pin, time.Hour })
	}
}

// listens starts a program that has shown a listener, and says how many queues it has at once.
func listens(t *testing.T, bed *testbed.Bed, socket string) (p *role, queues string) {
	p = startRole(t, bed.Server, "program", nobody)
	p.do("door", socket)
	p.do("listen", "0.0.0.0")
	return p, p.do("lease")
}

// queuesOf counts a process' queues, those among them that are still to be mapped: the device's own, and spurs.
func (b *Broker) queuesOf(p *role) (own, spurs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.spaces {
		for _, d := range s.all() {
			n := &own
			if d.trunk != nil {
				n = &spurs
			}
			for _, q := range d.queues {
				if q.owner != nil && q.owner.pid == p.cmd.Process.Pid {
					*n++
				}
			}
		}
	}
	return own, spurs
}

// After a broker's death a newcomer is served as soon as all who had queues or spurs are back, however long the grace.
func TestTheWaitEndsWithTheLastOwner(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	first, socket, next := twoBrokers(t)
	server, has := listens(t, bed, socket)
	require.Equal(t, "4", has)
	stranger, has := listens(t, bed, socket)
	require.Equal(t, "0", has)
	require.Equal(t, "4", stranger.do("gets", "4"))
	first.kill()

	b := next()
	newcomer, has := listens(t, bed, socket)
	require.Equal(t, "0", has)
	nothing := func(why string) {
		t.Helper()
		time.Sleep(10 * lookForOwners)
		own, spurs := b.queuesOf(newcomer)
		require.Zero(t, own+spurs, why)
	}
	nothing("nobody is back")
	server.do("door", socket)
	require.Equal(t, "true 4 ", server.do("adopt"))
	nothing("the stranger is still to come")
	stranger.do("door", socket)
	require.Equal(t, "true 4 ", stranger.do("adopt"))
	require.Equal(t, "4", newcomer.do("gets", "4"))
	for who, want := range map[*role][2]int{server: {4, 0}, stranger: {0, 4}, newcomer: {0, 4}} {
		own, spurs := b.queuesOf(who)
		require.Equal(t, want, [2]int{own, spurs})
	}
	b.Close()
}

// Those who died with the broker, or after it, are not waited for.
func TestTheDeadAreNotWaitedFor(t *testing.T) {
	for _, when := range []string{"before the next broker", "after it"} {
		bed := bedtest.New(t, testbed.Config{})
		first, socket, next := twoBrokers(t)
		server, _ := listens(t, bed, socket)
		stranger, _ := listens(t, bed, socket)
		require.Equal(t, "4", stranger.do("gets", "4"))
		first.kill()
		kill := func() { server.kill(); stranger.kill() }
		if when == "before the next broker" {
			kill()
		}
		b := next()
		newcomer, _ := listens(t, bed, socket)
		if when == "after it" {
			kill()
		}
		bedtest.Until(t, "the device's own queues, killed "+when, func() bool {
			own, _ := b.queuesOf(newcomer)
			return own == 4
		})
		newcomer.kill()
		b.Close()
	}
}

// Ports that their owner has said will follow are waited for, a queue's owner, and whoever it is if the kernel does not say.
func TestWhoIsStillToCome(t *testing.T) {
	s := &space{b: &Broker{clients: map[*client]bool{}, log: testLog{t}}}
	c := &client{space: s}
	s.b.clients[c] = true
	prog := &fakeProgram{k: newFakeKernel(1), queues: map[int]int{0: 7}}
	d := bareDevice(s, netDevice{Ifindex: 7}, prog)
	d.queues = []*queue{{index: 0, owner: c}, {index: 1}}
	require.True(t, d.allBack())
	c.blocks = 1
	require.False(t, d.allBack())
	c.blocks = 0
	prog.queues[1] = 8
	require.False(t, d.allBack())
	delete(prog.queues, 1)
	prog.err = unix.EPERM
	require.False(t, d.allBack())
}

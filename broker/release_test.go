package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// TestPortsAreReleased: who binds asks, and who has ports that no connection uses gives them back before the answer, block by block or some of one.
func TestPortsAreReleased(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.ReleaseTime = patience })
	e := newEngineWith(t, h.b.cfg.Socket, proto.Hello{Program: "has ports", Releases: true})
	binds := newEngineWith(t, h.b.cfg.Socket, proto.Hello{Program: "binds"})
	fds, ports := bound(t, 8, 0)
	keeper, err := e.lease(fds)
	require.NoError(t, err)
	ask := func(port uint16) chan error {
		done := make(chan error)
		go func() {
			_, err := binds.c.Call(proto.OpRelease, proto.Release{Port: port}, nil, nil, patience)
			done <- err
		}()
		return done
	}
	require.NoError(t, <-ask(9), "who has no such port is not asked")

	done := ask(ports[3])
	var r proto.Release
	p := e.event(proto.OpRelease, &r)
	require.Equal(t, ports[3], r.Port)
	got, err := e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports[3:4]}, []int{keeper}, nil, patience)
	require.NoError(t, err)
	require.Len(t, got, 1)
	t.Cleanup(func() { closeAll(got) })
	require.NoError(t, unix.Shutdown(keeper, unix.SHUT_RDWR))
	unix.Close(keeper)
	select {
	case <-done:
		t.Fatal("answered before the port is free")
	default:
	}
	require.NoError(t, e.c.Answer(p, "", nil))
	require.NoError(t, <-done)
	for i, port := range ports {
		require.Equal(t, i == 3, portFree(t, port), "%d of %v", i, ports)
	}
	require.Equal(t, 7, h.b.Status().Leases[0].Ports)
	require.Equal(t, 7, h.entries())

	h.b.mu.Lock()
	h.b.cfg.ReleaseTime = 10 * time.Millisecond
	h.b.mu.Unlock()
	done, r = ask(0), proto.Release{}
	e.event(proto.OpRelease, &r) // no answer: the others wait for it no longer than they may
	require.Zero(t, r.Port)
	require.NoError(t, <-done)
}

// TestPortsAreReleasedSoOften: nobody keeps the others from having ports on lease.
func TestPortsAreReleasedSoOften(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := newEngineWith(t, h.b.cfg.Socket, proto.Hello{Program: "has ports", Releases: true})
	fds, _ := bound(t, 8, 0)
	_, err := e.lease(fds)
	require.NoError(t, err)
	newEngineWith(t, h.b.cfg.Socket, proto.Hello{Program: "binds"})
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	for c := range h.b.clients {
		if c.program == "binds" {
			n := 0
			for range 3 * maxReleases {
				n += len(h.b.lessees(c, 0))
			}
			require.Equal(t, maxReleases, n)
		}
	}
}

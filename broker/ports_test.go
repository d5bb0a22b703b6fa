package broker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// bound binds n kernel sockets of 127.0.0.1, with an option set before.
func bound(t *testing.T, n, option int) (fds []int, ports []uint16) {
	t.Helper()
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		if option != 0 {
			require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1))
		}
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		a, _, err := boundTo(fd)
		require.NoError(t, err)
		fds, ports = append(fds, fd), append(ports, a.Port())
	}
	return fds, ports
}

var here = netip.MustParseAddr("127.0.0.1")

// lease shows sockets, closes them and returns the keeper.
func (e *engine) lease(fds []int) (keeper int, err error) {
	e.t.Helper()
	var g proto.Grant
	got, err := e.c.Call(proto.OpPorts, proto.Ports{}, fds, &g, patience)
	closeAll(fds)
	if err != nil {
		return -1, err
	}
	last := len(got) - 1
	e.took(g, got[:last])
	e.t.Cleanup(func() { unix.Close(got[last]) })
	return got[last], nil
}

// portFree tells whether anybody can bind the port.
func portFree(t *testing.T, port uint16) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}) == nil
}

func (h *fakeHost) entries() (n int) {
	h.see(func(p *fakeProgram) bool { n = len(p.listeners); return true })
	return n
}

// TestPortsGivenBackLate: who was sent away gives its ports back when whoever came instead has ended, and the device with it.
func TestPortsGivenBackLate(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Keep = -1 })
	e, other := h.engine(), h.engine()
	fds, ports := bound(t, 64, 0)
	_, err := e.lease(fds)
	require.NoError(t, err)
	l := kernelListener(t, "127.0.0.1:0")
	other.listen(l)
	e.yield()
	other.gets(2)
	other.c.Close()
	until(t, "the program to be taken off", func() bool { return h.see(func(p *fakeProgram) bool { return p.closed }) })
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports}, nil, nil, patience)
	require.NoError(t, err)
}

func TestPortsAreLeasedInBlocks(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	fds, ports := bound(t, 64, 0)
	keeper, err := e.lease(fds)
	require.NoError(t, err)
	require.Len(t, e.vis, 2, "all queues, since an answer may come by any")
	require.Equal(t, 64, h.entries())
	for _, p := range ports {
		require.False(t, portFree(t, p), "the keeper holds the sockets")
	}
	require.Equal(t, 64, h.b.Status().Leases[0].Ports)
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports[:63]}, nil, nil, patience)
	require.NoError(t, err)
	require.True(t, h.see(func(p *fakeProgram) bool { return len(p.listeners) == 1 && p.listeners[entry{0, key{here, ports[63]}}] }))
	require.NoError(t, unix.Shutdown(keeper, unix.SHUT_RDWR))
	unix.Close(keeper)
	for _, p := range ports {
		require.True(t, portFree(t, p), "without the keeper the ports are anybody's")
	}
	_, err = e.c.Call(proto.OpUnports, proto.Unports{Local: here, Ports: ports}, nil, nil, patience)
	require.NoError(t, err)
	require.Len(t, e.yield().Queues, 2, "with the last port the queues go")
	require.Zero(t, h.entries())
}

func TestPortsOfTheDeadAreFree(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e, other := h.engine(), h.engine()
	fds, ports := bound(t, 8, 0)
	keeper, err := e.lease(fds)
	require.NoError(t, err)
	e.st.Add(&proto.Entry{State: 1, Local: netip.AddrPortFrom(here, ports[3]), Remote: netip.MustParseAddrPort("10.0.0.1:80")})
	e.c.Close()
	unix.Close(keeper)
	until(t, "entries to go", func() bool { return h.entries() == 0 })
	until(t, "the peer to be told", func() bool {
		return h.see(func(p *fakeProgram) bool { return len(p.k.syns) == 1 && p.k.syns[0].Local.Port() == ports[3] })
	})
	require.True(t, portFree(t, ports[0]))
	fds, _ = bound(t, 8, 0)
	_, err = other.lease(fds)
	require.NoError(t, err)
}

func TestWhatIsNoPort(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.backend.(*fakeKernel).hi = 32768 + 19 })
	e := h.engine()
	wild, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(wild, &unix.SockaddrInet4{}))
	six, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(six, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}))
	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	shared, _ := bound(t, 1, unix.SO_REUSEPORT)
	one, _ := bound(t, 1, 0)
	two, err := unix.Dup(one[0])
	require.NoError(t, err)
	mixed, _ := bound(t, 1, 0)
	many, _ := bound(t, 11, 0)
	for why, fds := range map[string][]int{
		"needs bound sockets": nil,
		"not bound":           {wild},
		"not TCP":             {udp},
		"shares its port":     shared,
		"twice":               {one[0], two},
		"in one block":        {mixed[0], six},
		"half of those from":  many,
	} {
		_, err := e.lease(fds)
		require.ErrorContains(t, err, why)
	}
	require.Zero(t, h.entries())
	ten, _ := bound(t, 10, 0)
	_, err = e.lease(ten)
	require.NoError(t, err)
}

// Who holds queues for connections to come, and has none, gives them to whoever has a use for them; who has one keeps them.
func TestIdlePortsGiveWay(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	idle, busy, third := h.engine(), h.engine(), h.engine()
	fds, _ := bound(t, 8, 0)
	_, err := idle.lease(fds)
	require.NoError(t, err)
	idle.ready(proto.Grant{})
	done := make(chan error)
	fds, ports := bound(t, 8, 0)
	go func() {
		_, err := busy.lease(fds)
		done <- err
	}()
	require.Len(t, idle.yield().Queues, 2)
	require.NoError(t, <-done)
	require.Len(t, busy.vis, 2)
	busy.st.Add(&proto.Entry{State: 1, Local: netip.AddrPortFrom(here, ports[0]), Remote: netip.MustParseAddrPort("10.0.0.1:80")})
	fds, _ = bound(t, 8, 0)
	_, err = third.lease(fds)
	require.NoError(t, err)
	require.True(t, third.has(firstPrivate), "a spur, as the queues have a connection")
}

func TestFlowsKeepTheirQueuesForAWhile(t *testing.T) {
	h := newFakeHost(t, 2, func(c *Config) { c.Hold = 300 * time.Millisecond })
	e := h.engine()
	fds, ports := bound(t, 1, 0)
	flow := proto.Connect{Local: netip.AddrPortFrom(here, ports[0]), Remote: netip.MustParseAddrPort("10.0.0.1:80")}
	for range 3 {
		var g proto.Grant
		got, err := e.c.Call(proto.OpConnect, flow, fds, &g, patience)
		require.NoError(t, err)
		e.took(g, got)
		_, err = e.c.Call(proto.OpDisconnect, proto.Disconnect{Local: flow.Local, Remote: flow.Remote}, nil, nil, patience)
		require.NoError(t, err)
		p, err := e.c.Next()
		require.NoError(t, err)
		require.Nil(t, p, "the queues stay")
	}
	require.Len(t, e.yield().Queues, 2, "not for ever")
}

// TestALeasedPortIsNobodyElses: what comes for it after its connection's end may be answered with a reset at once.
func TestALeasedPortIsNobodyElses(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	fds, ports := bound(t, 4, 0)
	_, err := e.lease(fds)
	require.NoError(t, err)
	far := netip.MustParseAddrPort("10.0.0.1:80")
	for port, free := range map[uint16]bool{ports[0]: true, ports[3]: true, 9: false} {
		var o proto.Owned
		_, err = e.c.Call(proto.OpStray, proto.Stray{Local: netip.AddrPortFrom(here, port), Remote: far}, nil, &o, patience)
		require.NoError(t, err)
		require.Equal(t, proto.Owned{Free: free}, o, "port %d", port)
	}
}

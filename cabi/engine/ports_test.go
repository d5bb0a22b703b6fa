package engine

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestPortsLeaveThoseOfBind: leased ports are of the half that the kernel's connect uses, so that programs that bind find theirs as free as ever. (CPython's
// test_selectors has 10,000 listeners and 10,000 connections; where both took the ports of bind, the later binds took 20 ms each.)
func TestPortsLeaveThoseOfBind(t *testing.T) {
	lowest := hostPorts().low
	require.Positive(t, lowest)
	socks, numbers, err := bindSome(netip.MustParseAddr("127.0.0.1"), 60, 0)
	require.NoError(t, err)
	closeAll(socks)
	require.Len(t, numbers, 60)
	for _, n := range numbers {
		require.Zero(t, (int(n)-lowest)&1, "%d", n)
	}
}

// TestPortsLeaveDescriptors: a process that may open no more keeps room for what the answer to its request brings (`make chaos` seed 1, the pair: without it
// the channel ended, and all connections with it).
func TestPortsLeaveDescriptors(t *testing.T) {
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	for _, c := range []struct{ free, got int }{{0, 0}, {1, 0}, {5, 2}, {20, 8}} {
		socks, left := func() (socks []int, left int) {
			first, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			fill := []int{first}
			for range 100 { // the lowest numbers: behind them all are free
				fd, err := unix.Dup(first)
				require.NoError(t, err)
				fill = append(fill, fd)
			}
			defer closeAll(fill)
			require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(fill[len(fill)-1] + 1 + c.free), Max: old.Max}))
			defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
			socks, _, err = bindSome(netip.MustParseAddr("127.0.0.1"), 8, 0)
			if c.got == 0 {
				require.ErrorIs(t, err, unix.EMFILE)
			}
			var more []int
			for {
				fd, err := unix.Dup(first)
				if err != nil {
					break
				}
				more = append(more, fd)
			}
			closeAll(more)
			return socks, len(more)
		}()
		require.Len(t, socks, c.got, "%d free", c.free)
		require.Equal(t, c.free-c.got, left)
		closeAll(socks)
	}
}

// Which port is next cannot be foretold, but it is always one of those that rested longest.
func TestPortsAreTakenAtRandom(t *testing.T) {
	const ports = 2 * fewPorts // so many that none needs to rest
	r := newPairRig(t)
	r.e.plane.random = rand.New(rand.NewPCG(1, 2)).Uint64
	p := &pool{local: ourAddr, leased: ports}
	b := &block{pool: p, ports: make([]port, ports)}
	for i := range b.ports {
		b.ports[i] = port{number: uint16(20000 + i), block: b, ended: 1}
		p.push(&b.ports[i])
	}
	r.e.ports.pools = map[netip.Addr]*pool{ourAddr: p}
	places := map[int]int{}
	for i := range 500 {
		var oldest []uint16
		for q := p.first; len(oldest) < firstLook; q = q.next {
			oldest = append(oldest, q.number)
		}
		f, err := r.e.lease(int64(i), ourAddr, netip.AddrPortFrom(theirAddr, 80))
		require.NoError(t, err)
		at := -1
		for j, number := range oldest {
			if number == f.port.number {
				at = j
			}
		}
		require.NotEqual(t, -1, at, "port %d is not among %v", f.port.number, oldest)
		places[at]++
		r.e.unused(int64(i), f.port)
	}
	require.Len(t, places, firstLook, "each place has its turn: %v", places)
}

// The first connection of all finds no port leased, and no stack either: the lease brings both.
func TestFirstPortNeedsNoPlane(t *testing.T) {
	r := newPairRig(t)
	plane := r.e.plane
	r.e.plane = nil
	defer func() { r.e.plane = plane }()
	r.e.ports.pools = map[netip.Addr]*pool{ourAddr: {local: ourAddr, barren: 2}}
	_, err := r.e.lease(1, ourAddr, netip.AddrPortFrom(theirAddr, 80))
	require.Error(t, err)
}

// One that has not rested is not taken for being chosen at random while another has.
func TestPortsRest(t *testing.T) {
	r := newPairRig(t)
	p := &pool{local: ourAddr, leased: 8}
	b := &block{pool: p, ports: make([]port, 8)}
	for i := range b.ports {
		b.ports[i] = port{number: uint16(20000 + i), block: b, ended: 2 * portRest}
		p.push(&b.ports[i])
	}
	b.ports[0].ended = 1
	r.e.ports.pools = map[netip.Addr]*pool{ourAddr: p}
	for i := range uint64(firstLook) {
		r.e.plane.random = func() uint64 { return i }
		f, err := r.e.lease(2*portRest, ourAddr, netip.AddrPortFrom(theirAddr, 80))
		require.NoError(t, err)
		require.EqualValues(t, 20000, f.port.number)
		r.e.unused(0, f.port)
		for p.first.number != 20000 { // the others wait behind it again
			q := p.first
			p.first, p.free = q.next, p.free-1
			p.push(q)
		}
		b.ports[0].ended = 1
	}
}

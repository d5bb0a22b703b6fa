package ustack

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

func flow(local, remote string) tcp.Flow {
	return tcp.Flow{Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote)}
}

// TestTableAgainstAMap does the same insertions and removals to the table and to a Go map.
func TestTableAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var tab table
	tab.init(r.Uint64(), r.Uint64())
	model := map[key]*endpoint{}
	for range 50_000 {
		f := someFlow(r)
		k := keyOf(f)
		switch e := model[k]; {
		case e == nil:
			e = endpointOf(f)
			model[k] = e
			tab.insert(e)
		default:
			delete(model, k)
			tab.remove(e)
		}
		probe := keyOf(someFlow(r))
		require.Same(t, model[probe], tab.find(&probe))
		require.Equal(t, len(model), tab.n)
	}
	seen := 0
	tab.each(func(*endpoint) { seen++ })
	require.Equal(t, len(model), seen)
}

func someFlow(r *rand.Rand) tcp.Flow {
	return tcp.Flow{Local: netip.MustParseAddrPort("192.0.2.1:80"), Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(r.Uint32N(300)))}
}

func endpointOf(f tcp.Flow) *endpoint {
	e := &endpoint{}
	e.conn.Flow = f
	return e
}

func TestKeyTellsVersionsAndEndsApart(t *testing.T) {
	a := keyOf(flow("192.0.2.1:80", "192.0.2.2:1024"))
	for _, f := range []tcp.Flow{
		flow("192.0.2.2:80", "192.0.2.1:1024"), flow("192.0.2.1:1024", "192.0.2.2:80"), flow("192.0.2.1:80", "192.0.2.2:1025"),
		flow("[2001:db8::1]:80", "[2001:db8::2]:1024"),
	} {
		require.NotEqual(t, a, keyOf(f))
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	var tab table
	tab.init(1, 2)
	e := endpointOf(flow("192.0.2.1:80", "192.0.2.2:1024"))
	tab.insert(e)
	f := flow("192.0.2.1:80", "192.0.2.2:1024")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		k := keyOf(f)
		if tab.find(&k) != e {
			t.Fatal("not found")
		}
	}))
}

// listening is a listener at an address.
func listening(at string) *endpoint {
	e := &endpoint{}
	local := netip.MustParseAddrPort(at)
	h := tcp.NewHost(tcp.DefaultParams(), nil, rand.Uint64)
	e.InitListener(e, tcp.Listen(h, tcp.Flow{Local: local}, 8), local.Addr().Is6())
	return e
}

func (l *listeners) addNew(at string) *endpoint {
	e := listening(at)
	l.add(e, netip.MustParseAddrPort(at))
	return e
}

func (l *listeners) at(local, remote string) *endpoint {
	f := flow(local, remote)
	return l.find(&f)
}

// "the specific address, then the wildcard": what the kernel's __inet_lookup_listener scores.
func TestListenerOfTheMostSpecificAddress(t *testing.T) {
	var l listeners
	const remote = "192.0.2.9:1024"

	only6 := l.addNew("[::]:81")
	only6.IP().V6Only = true
	require.Nil(t, l.at("192.0.2.1:81", remote), "IPV6_V6ONLY")
	require.Same(t, only6, l.at("[2001:db8::1]:81", remote))

	any6 := l.addNew("[::]:80")
	require.Same(t, any6, l.at("192.0.2.1:80", remote), ":: takes version 4 too")
	any4 := l.addNew("0.0.0.0:80")
	require.Same(t, any4, l.at("192.0.2.1:80", remote))
	one := l.addNew("192.0.2.1:80")
	require.Same(t, one, l.at("192.0.2.1:80", remote))
	require.Same(t, any6, l.at("[2001:db8::1]:80", remote))
	require.Nil(t, l.at("192.0.2.1:82", remote))

	l.retire(one, 80)
	require.Same(t, any4, l.at("192.0.2.1:80", remote), "another comes before one that is retired")
	l.retire(any4, 80)
	l.retire(any6, 80)
	require.Same(t, one, l.at("192.0.2.1:80", remote), "which is better than none")
	l.remove(one)
	require.Same(t, any4, l.at("192.0.2.1:80", remote))
}

func TestListenersOfOneAddressShare(t *testing.T) {
	var l listeners
	one, two := l.addNew("0.0.0.0:80"), l.addNew("0.0.0.0:80")
	got := map[*endpoint]int{}
	for port := range 1000 {
		r := fmt.Sprintf("192.0.2.9:%d", 1024+port)
		e := l.at("192.0.2.1:80", r)
		require.Same(t, e, l.at("192.0.2.1:80", r), "the same flow goes to the same one")
		got[e]++
	}
	require.Greater(t, got[one], 300)
	require.Greater(t, got[two], 300)
}

// TestEndpointFitsItsSizeClass: the heap gives objects with pointers 8 bytes less than 1,280, then at once 1,400.
func TestEndpointFitsItsSizeClass(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(endpoint{}), uintptr(1280-8))
}

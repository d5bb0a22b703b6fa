package broker

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

var anyTuple = steer.Tuple{Local: netip.MustParseAddrPort("192.0.2.1:1000"), Remote: netip.MustParseAddrPort("127.0.0.1:80")}

// A program gives back SYNs to its own listeners, and nothing else.
func TestSYNsThatAreGivenBack(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	l := kernelListener(t, "127.0.0.1:0")
	local := netip.MustParseAddrPort(l.Addr().String())
	e.listen(l)
	to := func(remote netip.AddrPort) steer.Tuple { return steer.Tuple{Local: anyTuple.Local, Remote: remote} } // synIPv4 sends from its Local
	good := synIPv4(to(local))
	give := func(p []byte) error {
		_, err := e.c.Call(proto.OpSYN, proto.SYN{Packet: p}, nil, nil, patience)
		return err
	}
	require.NoError(t, give(good))
	require.ErrorContains(t, give(synIPv4(to(netip.AddrPortFrom(local.Addr(), local.Port()^1)))), "no listener")
	for at, bits := range map[int]byte{0: 0x40, 3: 1, 6: 0x20, 9: 1, 32: 0x10, 33: 0x10} { // version, length, fragment, protocol, data offset, ACK
		bad := append([]byte(nil), good...)
		bad[at] ^= bits
		require.ErrorContains(t, give(bad), "is no SYN", "octet %d", at)
	}
	for n := range good {
		require.ErrorContains(t, give(good[:n]), "is no SYN", "%d octets", n)
	}
	require.ErrorContains(t, give(append(good, 1)), "is no SYN")
	for range maxSYNs {
		require.NoError(t, give(good))
	}
	h.k.set(func() {
		require.Equal(t, string(good), h.k.looped[0])
		require.LessOrEqual(t, len(h.k.looped), 2*maxSYNs) // two seconds may have begun
	})
}

func TestBareSYNs(t *testing.T) {
	six := steer.Tuple{Local: netip.MustParseAddrPort("[2001:db8::1]:5"), Remote: netip.MustParseAddrPort("[2001:db8::2]:6")}
	got, ok := bareSYN(synIPv6(six))
	require.True(t, ok)
	require.Equal(t, steer.Tuple{Local: six.Remote, Remote: six.Local}, got)
}

func FuzzBareSYN(f *testing.F) {
	f.Add(synIPv4(anyTuple))
	f.Add(synIPv6(steer.Tuple{Local: netip.MustParseAddrPort("[::1]:1"), Remote: netip.MustParseAddrPort("[::2]:2")}))
	f.Fuzz(func(_ *testing.T, b []byte) { bareSYN(b) })
}

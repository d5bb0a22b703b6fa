package engine

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSockaddrRoundTrip(t *testing.T) {
	var b Sockaddr
	for _, c := range []struct {
		addr string
		six  bool
		len  int
	}{
		{"192.0.2.1:80", false, 16}, {"192.0.2.1:80", true, 28}, {"[2001:db8::1]:443", true, 28},
	} {
		a := netip.MustParseAddrPort(c.addr)
		require.Equal(t, c.len, putSockaddr(&b, a, c.six))
		got, six, err := parseSockaddr(b[:c.len])
		require.NoError(t, err)
		require.Equal(t, a, got)
		require.Equal(t, c.six, six)
	}
}

func TestSockaddrOfTheWrongKind(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want error
	}{
		{nil, unix.EINVAL}, {[]byte{unix.AF_INET, 0, 1}, unix.EINVAL}, {[]byte{unix.AF_INET6, 0, 1}, unix.EINVAL},
		{make([]byte, 28), unix.EAFNOSUPPORT},
	} {
		_, _, err := parseSockaddr(c.b)
		require.ErrorIs(t, err, c.want)
	}
}

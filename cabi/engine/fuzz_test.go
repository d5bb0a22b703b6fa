package engine

import (
	"net/netip"
	"testing"
)

// FuzzSockaddr: what connect(2) is given is read without going beyond it, and an address comes back as it was written.
func FuzzSockaddr(f *testing.F) {
	for _, s := range []string{"192.0.2.1:80", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1"} {
		var b Sockaddr
		n := putSockaddr(&b, netip.MustParseAddrPort(s), s[0] == '[')
		f.Add(b[:n])
		f.Add(b[:n-1])
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, six, err := parseSockaddr(in[:len(in):len(in)])
		if err != nil {
			return
		}
		var b Sockaddr
		n := putSockaddr(&b, a, six)
		again, six2, err := parseSockaddr(b[:n])
		if again != a || six2 != six || err != nil {
			t.Fatalf("%v became %v, %v", a, again, err)
		}
	})
}

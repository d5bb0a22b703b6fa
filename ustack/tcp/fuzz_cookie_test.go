package tcp

import (
	"net/netip"
	"testing"
)

// FuzzCookie: a cookie is good for its own flow, for one to two minutes, and tells an MSS no larger than the peer's; any
// other number is taken with no more chance than its 24 bits allow. The options come back from the timestamp.
func FuzzCookie(f *testing.F) {
	f.Add(uint64(1), uint32(5), uint32(1e9), uint16(1460), uint16(80), uint32(0), int8(7), true, false)
	f.Add(uint64(9), uint32(0xffffffff), uint32(63), uint16(0), uint16(0), uint32(1), int8(-1), false, true)
	f.Fuzz(func(t *testing.T, secret uint64, irs, sec uint32, mss, port uint16, other uint32, scale int8, sack, ecn bool) {
		k := Secret{}
		for i := range k {
			k[i] = byte(secret >> (i % 8 * 8))
		}
		now := int64(sec)*1e9 + 1
		local := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port)
		remote := netip.MustParseAddrPort("192.0.2.2:4000")
		c := MakeCookie(now, &k, local, remote, Seq(irs), mss)
		for _, later := range []int64{0, 59e9} {
			got, ok := CheckCookie(now+later, &k, local, remote, Seq(irs), c)
			if !ok || got > max(mss, 536) {
				t.Fatalf("%d s later: MSS %d for %d, %v", later/1e9, got, mss, ok)
			}
		}
		if _, ok := CheckCookie(now+3*60e9, &k, local, remote, Seq(irs), c); ok {
			t.Fatal("three minutes later it is still good")
		}
		CheckCookie(now, &k, local, remote, Seq(irs), Seq(other)) // must not panic
		v := CookieTS(other, int(scale), sack, ecn)
		s, gotSACK, gotECN := CookieOptions(v)
		if want := int(min(max(scale, -1), 14)); s != want || gotSACK != sack || gotECN != ecn || int32(v-other) > 0 {
			t.Fatalf("%d, %v, %v for %d, %v, %v; timestamp %d for %d", s, gotSACK, gotECN, want, sack, ecn, v, other)
		}
	})
}

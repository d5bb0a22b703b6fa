package tcp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	cookieKey = Secret{1, 2, 3}
	cookieL   = netip.MustParseAddrPort("10.0.0.1:80")
	cookieR   = netip.MustParseAddrPort("10.0.0.2:12345")
)

// The reference implementation's first vector over whole words: key 00..0f, message 00..07.
func TestSipHashVector(t *testing.T) {
	var k Secret
	for i := range k {
		k[i] = byte(i)
	}
	var h sip
	h.init(&k)
	h.word(binary.LittleEndian.Uint64([]byte{0, 1, 2, 3, 4, 5, 6, 7}))
	require.EqualValues(t, uint64(0x93f5f5799a932462), h.end(8))
}

// RFC 4987 §3.6: the cookie brings the MSS back, for a minute or two, and to nobody else.
func TestCookie(t *testing.T) {
	now := int64(1e15)
	for mss, want := range map[uint16]uint16{100: 536, 536: 536, 1299: 536, 1300: 1300, 1448: 1440, 1460: 1460, 9000: 1460} {
		c := MakeCookie(now, &cookieKey, cookieL, cookieR, 777, mss)
		got, ok := CheckCookie(now+50e9, &cookieKey, cookieL, cookieR, 777, c)
		require.True(t, ok)
		require.Equal(t, want, got, "MSS %d", mss)
		_, ok = CheckCookie(now+180e9, &cookieKey, cookieL, cookieR, 777, c)
		require.False(t, ok, "too old")
		_, ok = CheckCookie(now, &cookieKey, cookieL, cookieR, 99999, c)
		require.False(t, ok, "another connection's")
		_, ok = CheckCookie(now, &Secret{9}, cookieL, cookieR, 777, c)
		require.False(t, ok, "another secret")
	}
	forged := 0
	for i := range 100000 {
		if _, ok := CheckCookie(now, &cookieKey, cookieL, cookieR, 777, Seq(i*42949)); ok {
			forged++
		}
	}
	require.LessOrEqual(t, forged, 1, "guessing")
	v6 := netip.MustParseAddrPort("[2001:db8::1]:80")
	c := MakeCookie(now, &cookieKey, v6, cookieR, 1, 1440)
	got, _ := CheckCookie(now, &cookieKey, v6, cookieR, 1, c)
	require.EqualValues(t, 1440, got)
}

// TestCookieIsForOneNumber: the first ACK of a connection may be one of data that got lost before. A cookie must not pass for
// it, or the listener begins behind that data and it is never asked for again.
func TestCookieIsForOneNumber(t *testing.T) {
	now := int64(1e15)
	for _, mss := range []uint16{100, 1300, 1448, 1460} {
		c := MakeCookie(now, &cookieKey, cookieL, cookieR, 777, mss)
		for d := -4; d <= 4; d++ {
			_, ok := CheckCookie(now, &cookieKey, cookieL, cookieR, Seq(777).Add(d), c)
			require.Equal(t, d == 0, ok, "MSS %d, %d bytes later", mss, d)
		}
	}
}

func TestCookieTimestamp(t *testing.T) {
	for _, ts := range []uint32{0, 1, 63, 64, 1000000, 0xffffffff} {
		for scale := -1; scale <= 14; scale++ {
			for f := range 4 {
				v := CookieTS(ts, scale, f&1 != 0, f&2 != 0)
				require.LessOrEqual(t, int32(v-ts), int32(0), "never ahead of the clock")
				require.Greater(t, int32(v-ts), int32(-128))
				s, sack, ecn := CookieOptions(v)
				require.Equal(t, scale, s)
				require.Equal(t, f&1 != 0, sack)
				require.Equal(t, f&2 != 0, ecn)
			}
		}
	}
}

// RFC 6528 §3: the clock moves it, the addresses and the secret scatter it.
func TestISN(t *testing.T) {
	a := ISN(1e9, &cookieKey, cookieL, cookieR)
	require.Equal(t, a, ISN(1e9, &cookieKey, cookieL, cookieR))
	require.Equal(t, 1000, ISN(1e9+64000, &cookieKey, cookieL, cookieR).Sub(a), "one each 64 ns")
	require.NotEqual(t, a, ISN(1e9, &cookieKey, cookieR, cookieL))
	require.NotEqual(t, a, ISN(1e9, &Secret{5}, cookieL, cookieR))
	require.NotEqual(t, TSOffset(&cookieKey, cookieL.Addr(), cookieR.Addr()), TSOffset(&cookieKey, cookieR.Addr(), cookieL.Addr()))
	require.Zero(t, testing.AllocsPerRun(10, func() { ISN(1, &cookieKey, cookieL, cookieR) }))
}

package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptionsRoundTrip(t *testing.T) {
	for name, o := range map[string]TCPOptions{
		"none": {},
		"Linux SYN": {Set: HasMSS | HasSACKPerm | HasTimestamp | HasWScale,
			MSS: 1460, WScale: 7, TSVal: 1},
		"SYN without timestamp": {Set: HasMSS | HasSACKPerm | HasWScale, MSS: 1460, WScale: 7},
		"data":                  {Set: HasTimestamp, TSVal: 1, TSEcr: 2},
		"three blocks": {Set: HasTimestamp, TSVal: 1, TSEcr: 2, NSACK: 3,
			SACK: [MaxSACK]SACKBlock{{1, 2}, {3, 4}, {5, 6}}},
		"four blocks":    {NSACK: 4, SACK: [MaxSACK]SACKBlock{{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
		"cookie request": {Set: HasFastOpen},
		"old request":    {Set: HasFastOpen | FastOpenExp},
		"old cookie":     {Set: HasFastOpen | FastOpenExp, CookieLen: 6, Cookie: [16]byte{1, 2, 3, 4, 5, 6}},
		"cookie":         {Set: HasFastOpen | HasMSS, MSS: 536, CookieLen: 8, Cookie: [16]byte{1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		b := make([]byte, TCPMaxOptions)
		n := o.Put(b)
		require.Equal(t, o.Len(), n, name)
		require.Zero(t, n%4, name)
		var got TCPOptions
		got.Parse(b[:n])
		require.Equal(t, o, got, name)
	}
}

// "TCP implementations MUST be prepared to handle an illegal option length (e.g., zero)" RFC 9293 §3.1
func TestMalformedOptionsEndTheReading(t *testing.T) {
	mss := []byte{2, 4, 5, 0xb4}
	for name, tail := range map[string][]byte{
		"length zero": {3, 0, 7, 1}, "length one": {3, 1, 7, 1}, "past the end": {8, 10, 1, 1}, "kind without length": {1, 1, 1, 3},
		"end of list": {0, 3, 3, 7}, "window scale of a wrong size": {3, 4, 7, 7},
	} {
		var o TCPOptions
		o.Parse(append(append([]byte(nil), mss...), tail...))
		require.Equal(t, HasMSS, o.Set, name)
		require.EqualValues(t, 1460, o.MSS)
	}
}

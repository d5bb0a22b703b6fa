package eth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/wire"
)

func TestInputTakesOnlyWhatIsForUs(t *testing.T) {
	var l Layer
	mac := [6]byte{2, 0, 0, 0, 0, 1}
	frame := func(dst [6]byte, typ uint16) []byte {
		b := make([]byte, 60)
		(&wire.EthernetFields{Dst: dst, Type: typ}).Put(b)
		return b
	}
	_, typ, payload, ok := l.Input(frame(mac, wire.TypeIPv4), mac, 0)
	require.True(t, ok)
	require.EqualValues(t, wire.TypeIPv4, typ)
	require.Len(t, payload, 46)

	for _, b := range [][]byte{nil, frame(mac, 0)[:13], frame([6]byte{9}, wire.TypeIPv4),
		frame([6]byte{255, 255, 255, 255, 255, 255}, wire.TypeIPv4), frame(mac, 0x0806)} {
		_, _, _, ok := l.Input(b, mac, 0)
		require.False(t, ok)
	}
	require.Equal(t, Counters{Short: 2, OtherHost: 2, OtherProto: 1}, l.Counters)
}

// TestInputOnAVLAN: a link of a VLAN takes frames of that tag only, one without a VLAN any, and tells the tag, which is none if it is only a
// priority ("priority-tagged", IEEE 802.1Q).
func TestInputOnAVLAN(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 0, 1}
	tagged := func(tci, typ uint16) []byte {
		b := make([]byte, 64)
		(&wire.EthernetFields{Dst: mac, VLAN: 1, Type: typ}).Put(b)
		b[14], b[15] = byte(tci>>8), byte(tci)
		return b
	}
	plain := make([]byte, 60)
	(&wire.EthernetFields{Dst: mac, Type: wire.TypeIPv6}).Put(plain)
	for _, c := range []struct {
		what  string
		frame []byte
		vlan  uint16
		ok    bool
		tag   uint16
	}{
		{"its tag", tagged(100, wire.TypeIPv4), 100, true, 0},
		{"its tag and a priority", tagged(100|7<<13|1<<12, wire.TypeIPv6), 100, true, 0},
		{"another tag", tagged(101, wire.TypeIPv4), 100, false, 0},
		{"no tag", plain, 100, false, 0},
		{"no tag on a link without", plain, 0, true, 0},
		{"a tag on a link without", tagged(100|3<<13, wire.TypeIPv4), 0, true, 100},
		{"a priority", tagged(5<<13, wire.TypeIPv4), 0, true, 0},
		{"two tags", tagged(100, wire.TypeVLAN), 100, false, 0},
		{"half a tag", tagged(100, wire.TypeIPv4)[:17], 100, false, 0},
	} {
		var l Layer
		tag, typ, data, ok := l.Input(c.frame, mac, c.vlan)
		require.Equal(t, c.ok, ok, c.what)
		if ok {
			require.Equal(t, c.tag, tag, c.what)
			require.Len(t, data, 46, c.what)
			require.Contains(t, []uint16{wire.TypeIPv4, wire.TypeIPv6}, typ, c.what)
		}
	}
	var l Layer
	l.Input(plain, mac, 100)
	l.Input(tagged(100, wire.TypeVLAN), mac, 100)
	l.Input(tagged(100, wire.TypeIPv4)[:17], mac, 100)
	require.Equal(t, Counters{OtherVLAN: 1, OtherProto: 1, Short: 1}, l.Counters)
}

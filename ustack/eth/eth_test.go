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
	typ, payload, ok := l.Input(frame(mac, wire.TypeIPv4), mac)
	require.True(t, ok)
	require.EqualValues(t, wire.TypeIPv4, typ)
	require.Len(t, payload, 46)

	for _, b := range [][]byte{nil, frame(mac, 0)[:13], frame([6]byte{9}, wire.TypeIPv4),
		frame([6]byte{255, 255, 255, 255, 255, 255}, wire.TypeIPv4), frame(mac, 0x0806)} {
		_, _, ok := l.Input(b, mac)
		require.False(t, ok)
	}
	require.Equal(t, Counters{Short: 2, OtherHost: 2, OtherProto: 1}, l.Counters)
}

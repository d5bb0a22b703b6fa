package usock

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
)

func word(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

// What the kernel's do_ip_setsockopt and do_ipv6_setsockopt take, refuse and give back.
func TestIPOptions(t *testing.T) {
	for _, c := range []struct {
		name       string
		level, opt int
		set        []byte
		want       error
		get        int
	}{
		{name: "TOS keeps the ECN bits for TCP", level: solIP, opt: ipTOS, set: word(0x13), get: 0x10},
		{name: "TOS as a byte", level: solIP, opt: ipTOS, set: []byte{8}, get: 8},
		{name: "TOS without a value", level: solIP, opt: ipTOS},
		{name: "TTL without a value", level: solIP, opt: ipTTL, want: tcp.ErrInval},
		{name: "TTL", level: solIP, opt: ipTTL, set: word(3), get: 3},
		{name: "TTL default", level: solIP, opt: ipTTL, set: word(-1), get: 64},
		{name: "TTL 0", level: solIP, opt: ipTTL, set: word(0), want: tcp.ErrInval, get: 64},
		{name: "TTL 256", level: solIP, opt: ipTTL, set: word(256), want: tcp.ErrInval, get: 64},
		{name: "MINTTL", level: solIP, opt: ipMinTTL, set: word(255), get: 255},
		{name: "MTU_DISCOVER", level: solIP, opt: ipMTUDiscover, set: word(2), get: 2},
		{name: "MTU_DISCOVER 6", level: solIP, opt: ipMTUDiscover, set: word(6), want: tcp.ErrInval, get: 1},
		{name: "V6ONLY", level: solIPv6, opt: ipv6Only, set: word(1), get: 1},
		{name: "TCLASS", level: solIPv6, opt: ipv6TClass, set: word(0x20), get: 0x20},
		{name: "UNICAST_HOPS", level: solIPv6, opt: ipv6Hops, set: word(9), get: 9},
		{name: "UNICAST_HOPS 0", level: solIPv6, opt: ipv6Hops, set: word(256), want: tcp.ErrInval, get: 64},
		{name: "priority", level: solSocket, opt: soPriority, set: word(6), get: 6},
	} {
		s := Socket{v6: c.level == solIPv6, ip: DefaultIPOptions()}
		require.ErrorIs(t, s.SetOption(1, c.level, c.opt, c.set), c.want, c.name)
		var out [4]byte
		if c.want != nil && c.get == 0 {
			continue
		}
		n, err := s.Option(1, c.level, c.opt, out[:])
		require.NoError(t, err, c.name)
		require.Equal(t, 4, n, c.name)
		require.Equal(t, c.get, int(binary.NativeEndian.Uint32(out[:])), c.name)
	}
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	s := Socket{ip: DefaultIPOptions()}
	require.ErrorIs(t, s.SetOption(1, solIP, 9999, word(1)), tcp.ErrNoProtoOpt)
	_, err := s.Option(1, solIPv6, 9999, make([]byte, 4))
	require.ErrorIs(t, err, tcp.ErrNoProtoOpt)
	_, err = s.Option(1, 99, 1, make([]byte, 4))
	require.ErrorIs(t, err, tcp.ErrNoProtoOpt)
}

func TestFixedOptions(t *testing.T) {
	s := Socket{v6: true}
	for opt, want := range map[int]int{soType: 1, soProtocol: 6, soDomain: 10, soAcceptConn: 0} {
		var out [4]byte
		_, err := s.Option(1, solSocket, opt, out[:])
		require.NoError(t, err)
		require.Equal(t, want, int(binary.NativeEndian.Uint32(out[:])))
	}
	var short [1]byte
	s.ip.TOS = 8
	n, err := s.Option(1, solIP, ipTOS, short[:])
	require.NoError(t, err)
	require.Equal(t, 1, n, "the kernel gives a byte to who asks for one")
	require.EqualValues(t, 8, short[0])
}

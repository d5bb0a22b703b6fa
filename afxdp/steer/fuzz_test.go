package steer_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// FuzzVerdict: the XDP program, run by the kernel on any frame, decides as the model does. Needs root, as all tests of
// the program.
func FuzzVerdict(f *testing.F) {
	r := newRig(f)
	m := &model{mac: r.bed.Server.MAC, listener: func(vlan uint16, l netip.AddrPort) (specific, wildcard bool) {
		if vlan != 0 {
			return vlan == oneVLAN && l.Port() == onePort && l.Addr() == r.bed.Server.IPv4, vlan == anyVLAN && l.Port() == anyPort
		}
		one := l.Port() == onePort && (l.Addr() == r.bed.Server.IPv4 || l.Addr() == r.bed.Server.IPv6)
		// Nothing is forwarded here, so that a wildcard listener hears any address.
		return one, l.Port() == anyPort || l.Port() == v6Port && l.Addr().Is6() && !l.Addr().Is4In6()
	}, connect: func(vlan uint16, local, remote netip.AddrPort) bool {
		v6 := local.Addr().Is6()
		if vlan != 0 && (vlan != oneVLAN || v6) {
			return false
		}
		p := r.packet(v6, dialPort, dialedPort)
		return local == p.Dst && remote == p.Src
	}}
	for _, v6 := range []bool{false, true} {
		for _, port := range []uint16{anyPort, onePort, v6Port, freePort} {
			f.Add(r.packet(v6, 1, port).Bytes(), false)
			f.Add(r.icmp(v6, 3, r.packet(v6, 1, port), 99).Bytes(), false)
		}
		f.Add(r.packet(v6, dialPort, dialedPort).Bytes(), true)
		f.Add(r.icmp(v6, 2, r.packet(v6, dialPort, dialedPort), 99).Bytes(), false)
	}
	for _, vlan := range []uint16{0, oneVLAN, anyVLAN, 0xf000 | anyVLAN} {
		for _, port := range []uint16{anyPort, onePort, dialedPort} {
			p := r.packet(false, dialPort, port)
			p.Tags = []uint16{vlan}
			f.Add(p.Bytes(), false)
			f.Add(p.Bytes()[:16], false)
		}
	}
	frame := r.packet(false, 1, anyPort)
	frame.Options = make([]byte, 40)
	f.Add(frame.Bytes(), false)
	frame.Frag = 0x2000
	f.Add(frame.Bytes(), false)
	run, err := r.port.Program.Runner(r.bed.Server.FD())
	require.NoError(f, err)
	f.Cleanup(func() { run.Close() })
	f.Fuzz(func(t *testing.T, b []byte, other bool) {
		if len(b) < 14 || len(b) > 3000 {
			return // the kernel runs no program on less than a header
		}
		queue := 0
		if other {
			queue = 1
		}
		want := m.decide(b, queue)
		verdict, err := run.Run(queue, b)
		require.NoError(t, err)
		require.Equal(t, uint32(verdictOf(want)), verdict, "%s: % x", want, b)
	})
}

func verdictOf(reason string) int {
	if reason == "redirected" || reason == "icmp_redirected" {
		return steer.Redirect
	}
	return steer.Pass
}

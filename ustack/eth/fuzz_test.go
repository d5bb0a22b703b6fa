package eth

import (
	"testing"

	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzInput: a frame that is taken is ours, is IP, and its payload is the frame without its header.
func FuzzInput(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00E"), uint16(0))
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd"), uint16(0))
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x81\x00\xe0\x64\x08\x00E"), uint16(100))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x02\x08\x06"), uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, vlan uint16) {
		var l Layer
		mac := [6]byte{2, 0, 0, 0, 0, 1}
		tag, typ, data, ok := l.Input(b, mac, vlan)
		if n := l.Counters.Short + l.Counters.OtherHost + l.Counters.OtherVLAN + l.Counters.OtherProto; (n == 0) != ok || n > 1 {
			t.Fatalf("taken %v, counted %+v", ok, l.Counters)
		}
		hdr := wire.EthernetLen
		if ok && b[12] == 0x81 {
			hdr += wire.TagLen
		}
		if ok && (len(data) != len(b)-hdr || hdr == wire.EthernetLen && (vlan != 0 || tag != 0) || vlan != 0 && tag != 0 || [6]byte(b[:6]) != mac || typ != wire.TypeIPv4 && typ != wire.TypeIPv6) {
			t.Fatalf("type %#x, %d bytes of %d", typ, len(data), len(b))
		}
	})
}

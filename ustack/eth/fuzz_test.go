package eth

import (
	"testing"

	"github.com/sluice-net/sluice/ustack/wire"
)

// FuzzInput: a frame that is taken is ours, is IP, and its payload is the frame without its header.
func FuzzInput(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00E"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x02\x08\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var l Layer
		mac := [6]byte{2, 0, 0, 0, 0, 1}
		typ, data, ok := l.Input(b, mac)
		if n := l.Counters.Short + l.Counters.OtherHost + l.Counters.OtherProto; (n == 0) != ok || n > 1 {
			t.Fatalf("taken %v, counted %+v", ok, l.Counters)
		}
		if ok && (len(data) != len(b)-wire.EthernetLen || [6]byte(b[:6]) != mac || typ != wire.TypeIPv4 && typ != wire.TypeIPv6) {
			t.Fatalf("type %#x, %d bytes of %d", typ, len(data), len(b))
		}
	})
}

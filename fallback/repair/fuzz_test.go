package repair

import (
	"encoding/json"
	"testing"
)

// FuzzState: a connection's state comes from another process. What check takes has numbers that fit its queues, so that
// restoring it slices nothing that is not there.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"local":"192.0.2.1:80","remote":"192.0.2.2:4000","state":1,"snd_una":1,"snd_nxt":11,"rcv_nxt":5,"mss":1460}`), uint16(10), uint16(3))
	f.Add([]byte(`{"local":"[2001:db8::1]:80","remote":"[2001:db8::2]:4000","state":9,"snd_una":4294967290,"snd_nxt":5,"mss":536,"timestamps":true}`), uint16(10), uint16(0))
	f.Add([]byte(`{"local":"[::ffff:192.0.2.1]:80","remote":"192.0.2.2:4000","state":5,"mss":48,"wscale":true,"snd_wscale":15}`), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, in []byte, send, recv uint16) {
		var s State
		if json.Unmarshal(in, &s) != nil {
			return
		}
		s.SendData, s.RecvData = make([]byte, send), make([]byte, recv)
		if s.check() != nil {
			return
		}
		n, err := s.sent()
		if err != nil || n < 0 || n > len(s.SendData) {
			t.Fatalf("%d of %d bytes were sent, %v", n, len(s.SendData), err)
		}
		if s.finIsOut() && s.SndNxt-s.SndUna != uint32(n)+1 {
			t.Fatalf("a FIN is out behind %d bytes, SND.NXT - SND.UNA is %d", n, s.SndNxt-s.SndUna)
		}
		_, _, _ = s.window(), s.clock(), s.seeds()
		_, _ = s.tos()
	})
}

package tcp

import "testing"

// What packetdrill's scripts showed to be otherwise in the kernel.
func TestTracesFromPacketdrill(t *testing.T) {
	traces(t, Established, []trace{
		{name: "a FIN before any data is acknowledged at the kernel's next tick: it has no estimate of the peer's pace", script: `
			< F. 1:1(0) ack 1
			+.001 > . 1:1(0) ack 2`},
		{name: "what follows MSG_EOR goes into segments of its own", script: `
			write 1460
			> P. 1:1461(1460) ack 1
			write 100 MSG_EOR
			> P. 1461:1561(100) ack 1
			write 200 MSG_EOR
			write 300
			> P. 1561:1761(200) ack 1
			< . 1:1(0) ack 1561
			< . 1:1(0) ack 1761
			> P. 1761:2061(300) ack 1`},
	})
}

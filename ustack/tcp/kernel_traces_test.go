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
		{name: "a cork that is taken away leaves the rest to Nagle", script: `
			setsockopt TCP_CORK 1
			write 100 MSG_EOR
			write 200
			> P. 1:101(100) ack 1
			setsockopt TCP_CORK 0
			< . 1:1(0) ack 101
			> P. 101:301(200) ack 1`},
		{name: "PSH moves to the end of what is written before it leaves", script: `
			setsockopt TCP_CORK 1
			write 100
			write 1400
			> . 1:1461(1460) ack 1`},
		{name: "TCP_QUICKACK acknowledges what was read", script: `
			setsockopt TCP_QUICKACK 0
			< P. 1:101(100) ack 1
			read 100
			setsockopt TCP_QUICKACK 1
			> . 1:1(0) ack 101`},
		{name: "what a FIN repeats is not reported", script: `
			< P. 1:1001(1000) ack 1
			> . 1:1(0) ack 1001
			read 1000
			< F. 1:1001(1000) ack 1
			+.04 > . 1:1(0) ack 1002`},
		{name: "a FIN behind a hole is SACKed", script: `
			< F. 1001:1001(0) ack 1
			> . 1:1(0) ack 1 <sack 1001:1002>
			< . 501:1001(500) ack 1
			> . 1:1(0) ack 1 <sack 501:1002>
			< . 1:501(500) ack 1
			> . 1:1(0) ack 1002`},
	})
	traces(t, SynSent, []trace{
		{name: "a SYN-ACK for another SYN is reset, and ours goes again at once", script: `
			< S. 100:100(0) ack 100 win 65535 <mss 1460>
			> R 100:100(0)
			+.002 > S 0:0(0)`},
	})
}

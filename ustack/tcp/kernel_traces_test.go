package tcp

import (
	"strings"
	"testing"
)

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
		{name: "of several known parts of a segment the first is reported, RFC 2883 §4", script: `
			< . 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< . 201:301(100) ack 1
			> . 1:1(0) ack 1 <sack 101:301>
			< . 401:501(100) ack 1
			> . 1:1(0) ack 1 <sack 401:501 101:301>
			< . 701:801(100) ack 1
			> . 1:1(0) ack 1 <sack 701:801 401:501 101:301>
			< . 1:601(600) ack 1
			> . 1:1(0) ack 601 <sack 101:301 701:801>
			< . 1001:1101(100) ack 1
			> . 1:1(0) ack 601 <sack 1001:1101 701:801>
			< . 1201:1301(100) ack 1
			> . 1:1(0) ack 601 <sack 1201:1301 1001:1101 701:801>
			< . 901:1401(500) ack 1
			> . 1:1(0) ack 601 <sack 1001:1101 901:1401 701:801>`},
		{name: "a FIN is taken though the window is closed", script: `
			< . 1:1461(1460) ack 1
			> . 1:1(0) ack 1461 win 1460
			< . 1461:2921(1460) ack 1
			> . 1:1(0) ack 2921 win 0
			< F. 2921:2921(0) ack 1
			> . 1:1(0) ack 2922 win 0
			state CLOSE-WAIT
			read 2920`, params: func(p *Params) { p.Rmem[1] = 2 * 2920 }},
		{name: "a FIN with data is taken if the data fills the window", script: `
			< . 1:1461(1460) ack 1
			> . 1:1(0) ack 1461 win 1460
			< F. 1461:2921(1460) ack 1
			+.04 > . 1:1(0) ack 2922 win 0
			state CLOSE-WAIT`, params: func(p *Params) { p.Rmem[1] = 2 * 2920 }},
		{name: "a FIN beyond a byte of data that does not fit is not", script: `
			< . 1:1461(1460) ack 1
			> . 1:1(0) ack 1461 win 1460
			< . 1461:2921(1460) ack 1
			> . 1:1(0) ack 2921 win 0
			< F. 2921:2922(1) ack 1
			> . 1:1(0) ack 2921 win 0
			state ESTABLISHED`, params: func(p *Params) { p.Rmem[1] = 2 * 2920 }},
	})
	const handshake = `
		< S 0:0(0) win 65535 <mss 1460,sackOK,ws 7>
		> S. 0:0(0) ack 1 <mss 1460,sackOK,ws 10>
		+.1 < . 1:1(0) ack 1
		`
	scaled := func(p *Params) { p.WindowScaling, p.Rmem[2] = true, 32<<20 }
	traces(t, Listening, []trace{
		{name: "data out of order opens the window, too: by two segments each time, once the buffer has grown for it", script: handshake + `
			accept
			< . 60001:61461(1460) ack 1
			> . 1:1(0) ack 1 win 64 <sack 60001:61461>
			< . 58541:60001(1460) ack 1
			> . 1:1(0) ack 1 win 67 <sack 58541:61461>
			< . 57081:58541(1460) ack 1
			> . 1:1(0) ack 1 win 70 <sack 57081:61461>
			< . 57081:58541(1460) ack 1
			> . 1:1(0) ack 1 win 70 <sack 57081:58541 57081:61461>`, params: scaled},
		{name: "as long as no program has accepted it the buffer stays", script: handshake + `
			< . 60001:61461(1460) ack 1
			> . 1:1(0) ack 1 win 64 <sack 60001:61461>
			< . 58541:60001(1460) ack 1
			> . 1:1(0) ack 1 win 64 <sack 58541:61461>`, params: scaled},
		{name: "what came as one packet opens the window by twice as much", script: handshake + `
			accept
			< . 60001:61461(1460) ack 1
			> . 1:1(0) ack 1 win 64 <sack 60001:61461>
			< . 40001:50001(10000) ack 1
			> . 1:1(0) ack 1 win 84 <sack 40001:50001 60001:61461>`, params: scaled},
		{name: "tcp_shrink_window: the window is what there is room for", script: handshake + `
			accept
			setsockopt SO_RCVBUF 1000
			< P. 1:1001(1000) ack 1
			> . 1:1(0) ack 1001 win 0
			< P. 1001:2001(1000) ack 1
			> . 1:1(0) ack 1001 win 0
			inq 1000`, params: func(p *Params) { scaled(p); p.ShrinkWindow = true }},
		{name: "without it the edge that was told stays", script: handshake + `
			accept
			setsockopt SO_RCVBUF 1000
			< P. 1:1001(1000) ack 1
			> . 1:1(0) ack 1001 win 62`, params: scaled},
		{name: "nor without a shift: what is taken back could not be told exactly", script: `
			< S 0:0(0) win 65535 <mss 1460,sackOK>
			> S. 0:0(0) ack 1 <mss 1460,sackOK>
			+.1 < . 1:1(0) ack 1
			accept
			setsockopt SO_RCVBUF 1000
			< P. 1:1001(1000) ack 1
			> . 1:1(0) ack 1001 win 63240`, params: func(p *Params) { scaled(p); p.ShrinkWindow = true }},
		{name: "segments that came as one packet are as long as the peer takes: the window is a multiple of that", script: `
			< S 0:0(0) win 65535 <mss 1000>
			> S. 0:0(0) ack 1 win 8760 <mss 1460>
			+.1 < . 1:1(0) ack 1
			accept
			< P. 1:4001(4000) ack 1
			> . 1:1(0) ack 4001 win 6000`, params: func(p *Params) { p.Rmem[1] = 20000 }},
		{name: "without SACK the window stays: the ACKs have to be duplicates", script: strings.ReplaceAll(handshake, "sackOK,", "") + `
			accept
			< . 60001:61461(1460) ack 1
			> . 1:1(0) ack 1 win 63
			< . 58541:60001(1460) ack 1
			> . 1:1(0) ack 1 win 63`, params: scaled},
	})
	traces(t, SynSent, []trace{
		{name: "a SYN-ACK for another SYN is reset, and ours goes again at once", script: `
			< S. 100:100(0) ack 100 win 65535 <mss 1460>
			> R 100:100(0)
			+.002 > S 0:0(0)`},
	})
}

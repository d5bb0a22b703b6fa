package tcp

import "testing"

// CLOSED: RFC 9293 §3.10.7.1.
func TestClosedTraces(t *testing.T) {
	traces(t, Closed, []trace{
		{name: "a SYN is reset", script: `
			< S 0:0(0) win 100
			> R. 0:0(0) ack 1`},
		{name: "data counts in the ACK of the reset", script: `
			< P 10:20(10)
			> R. 0:0(0) ack 20`},
		{name: "a FIN counts, too", script: `
			< F 10:10(0)
			> R. 0:0(0) ack 11`},
		{name: "an ACK is reset with its own number", script: `
			< . 1:1(0) ack 77
			> R 77:77(0)`},
		{name: "a SYN-ACK, as well", script: `
			< S. 0:0(0) ack 77
			> R 77:77(0)`},
		{name: "a RST is not answered", script: `
			< R 1:1(0)
			< R. 1:1(0) ack 7`},
	})
}

// LISTEN: RFC 9293 §3.10.7.2.
func TestListenTraces(t *testing.T) {
	traces(t, Listening, []trace{
		{name: "a SYN", script: `
			< S 0:0(0) win 1000 <mss 1460,sackOK>
			> S. 0:0(0) ack 1 <mss 1460,sackOK>
			state SYN-RECEIVED`},
		{name: "a SYN without options", script: `
			< S 0:0(0) win 1000
			> S. 0:0(0) ack 1 <mss 1460>
			< . 1:1(0) ack 1
			mss 536`},
		{name: "a SYN with data: it is not acknowledged", script: `
			< S 0:10(10) win 1000 <mss 1460>
			> S. 0:0(0) ack 1
			state SYN-RECEIVED`},
		{name: "a SYN with FIN is dropped, as Linux", script: `
			< SF 0:0(0) win 1000
			state LISTEN`},
		{name: "a RST is ignored", script: `
			< R 0:0(0)
			state LISTEN`},
		{name: "a SYN with RST is ignored", script: `
			< SR 0:0(0)
			state LISTEN`},
		{name: "an ACK is reset", script: `
			< . 1:1(0) ack 77
			> R 77:77(0)
			state LISTEN`},
		{name: "a SYN-ACK is reset", script: `
			< S. 0:0(0) ack 77
			> R 77:77(0)
			state LISTEN`},
		{name: "data without SYN and ACK is dropped", script: `
			< P 1:11(10)
			state LISTEN`},
		{name: "a FIN without ACK is dropped", script: `
			< F 1:1(0)
			state LISTEN`},
		{name: "window scaling is answered only when both want it", script: `
			< S 0:0(0) win 1000 <mss 1460,ws 7>
			> S. 0:0(0) ack 1 <mss 1460>`},
		{name: "window scaling", script: `
			< S 0:0(0) win 1000 <mss 1460,ws 7>
			> S. 0:0(0) ack 1 <mss 1460,ws 10>`, params: func(p *Params) { p.WindowScaling = true }},
		{name: "timestamps, when the peer has them", script: `
			< S 0:0(0) win 1000 <mss 1460,ts 55 0>
			> S. 0:0(0) ack 1 <mss 1460,ts 0 55>`, params: withTS},
		{name: "timestamps, when it has none", script: `
			< S 0:0(0) win 1000 <mss 1460>
			> S. 0:0(0) ack 1 <mss 1460>`, params: withTS},
		{name: "an MSS of 0 is none", script: `
			< S 0:0(0) win 1000 <mss 0>
			> S. 0:0(0) ack 1
			< . 1:1(0) ack 1
			mss 536`},
		{name: "an MSS of 1 is raised to the least that goes", script: `
			< S 0:0(0) win 1000 <mss 1>
			> S. 0:0(0) ack 1
			< . 1:1(0) ack 1
			mss 28`},
	})
}

// SYN-RECEIVED of a listener: RFC 9293 §3.10.7.4 as tcp_check_req.
func TestHalfOpenTraces(t *testing.T) {
	syn := "< S 0:0(0) win 1000 <mss 1460,sackOK> ; > S. 0:0(0) ack 1 ;"
	var list []trace
	for _, x := range []trace{
		{name: "the last ACK", script: `
			< . 1:1(0) ack 1
			state ESTABLISHED
			poll OUT`},
		{name: "the last ACK with data", script: `
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11
			state ESTABLISHED
			read 10`},
		{name: "the last ACK with data and FIN", script: `
			< FP. 1:11(10) ack 1
			+.04 > . 1:1(0) ack 12
			state CLOSE-WAIT
			read 10
			read EOF`},
		{name: "the SYN again", script: `
			< S 0:0(0) win 1000 <mss 1460,sackOK>
			> S. 0:0(0) ack 1
			state SYN-RECEIVED`},
		{name: "the SYN-ACK is sent again after 1, 2, 4, 8, 16 seconds, then no more", script: `
			+1 > S. 0:0(0) ack 1
			+2 > S. 0:0(0) ack 1
			+4 > S. 0:0(0) ack 1
			+8 > S. 0:0(0) ack 1
			+16 > S. 0:0(0) ack 1
			+32 state LISTEN`},
		{name: "another SYN in the window resets it", script: `
			< S 5:5(0) win 1000
			> R. 0:0(0) ack 6
			state LISTEN`},
		{name: "a SYN beyond the window is answered with an ACK", script: `
			< S 900000:900000(0) win 1000
			> . 1:1(0) ack 1
			state SYN-RECEIVED`},
		{name: "an ACK of something else is reset", script: `
			< . 1:1(0) ack 7
			> R 7:7(0)
			state SYN-RECEIVED`},
		{name: "an ACK of nothing is reset", script: `
			< . 1:1(0) ack 0
			> R 0:0(0)
			state SYN-RECEIVED`},
		{name: "a RST in the window ends it", script: `
			< R 1:1(0)
			state LISTEN`},
		{name: "a RST anywhere in the window, too: nobody has seen it yet", script: `
			< R 500:500(0)
			state LISTEN
			count EmbryonicRsts 1`},
		{name: "a RST beyond the window is dropped", script: `
			< R 900000:900000(0)
			state SYN-RECEIVED`},
		{name: "data beyond the window is answered", script: `
			< P. 900000:900010(10) ack 1
			> . 1:1(0) ack 1
			state SYN-RECEIVED`},
		{name: "data without ACK is dropped", script: `
			< P 1:11(10)
			state SYN-RECEIVED`},
		{name: "a FIN without ACK is dropped", script: `
			< F 1:1(0)
			state SYN-RECEIVED`},
		{name: "data ahead of its turn opens it, too", script: `
			< P. 11:21(10) ack 1
			> . 1:1(0) ack 1 <sack 11:21>
			state ESTABLISHED`},
		{name: "the window of the last ACK counts", script: `
			+.1 < . 1:1(0) ack 1 win 10
			write 100
			+.3 > P. 1:11(10) ack 1
			unsent 90`, params: func(p *Params) { p.EarlyRetrans = 0 }},
	} {
		x.script = syn + x.script
		list = append(list, x)
	}
	traces(t, Listening, list)
}

// SYN-SENT: RFC 9293 §3.10.7.3.
func TestSynSentTraces(t *testing.T) {
	traces(t, SynSent, []trace{
		{name: "a SYN-ACK", script: `
			poll nothing
			< S. 0:0(0) ack 1 win 1000 <mss 1400,sackOK>
			> . 1:1(0) ack 1
			state ESTABLISHED
			poll OUT
			mss 1400`},
		{name: "a SYN-ACK of nothing is reset", script: `
			< S. 0:0(0) ack 0
			> R 0:0(0)
			state SYN-SENT`},
		{name: "a SYN-ACK of more is reset", script: `
			< S. 0:0(0) ack 2
			> R 2:2(0)
			state SYN-SENT`},
		{name: "an ACK without SYN is dropped when it is of our SYN", script: `
			< . 1:1(0) ack 1
			state SYN-SENT`},
		{name: "an ACK of something else is reset", script: `
			< . 1:1(0) ack 99
			> R 99:99(0)
			state SYN-SENT`},
		{name: "a RST with the ACK of our SYN is a refusal", script: `
			< R. 0:0(0) ack 1
			error ECONNREFUSED
			state CLOSED`},
		{name: "a RST without ACK is dropped", script: `
			< R 0:0(0)
			state SYN-SENT`},
		{name: "a RST with another ACK is dropped", script: `
			< R. 0:0(0) ack 7
			state SYN-SENT`},
		{name: "a FIN is dropped", script: `
			< F 0:0(0)
			state SYN-SENT`},
		{name: "data without SYN is dropped", script: `
			< P. 1:11(10) ack 1
			state SYN-SENT`},
		{name: "a SYN crosses ours", script: `
			< S 0:0(0) win 1000 <mss 1460>
			> S. 0:0(0) ack 1
			state SYN-RECEIVED`},
		{name: "no answer: a second apart four times, then doubled", script: `
			+1 > S 0:0(0)
			+1 > S 0:0(0)
			+1 > S 0:0(0)
			+1 > S 0:0(0)
			+1 > S 0:0(0)
			+2 > S 0:0(0)
			+4 > S 0:0(0)
			state SYN-SENT`},
		{name: "close before it is open says nothing", script: `
			close
			state CLOSED`},
		{name: "abort before it is open says nothing", script: `
			abort
			state CLOSED`},
		{name: "shutdown before it is open ends it", script: `
			shutdown SHUT_RDWR
			state CLOSED
			error ECONNRESET`},
		{name: "an ICMP error for our SYN ends it", script: `
			icmp EHOSTUNREACH 0
			state CLOSED
			error EHOSTUNREACH`},
		{name: "an ICMP error for another segment does not", script: `
			icmp EHOSTUNREACH 5000
			state SYN-SENT`},
		{name: "a window in the SYN-ACK is not scaled, RFC 7323 §2.2", script: `
			< S. 0:0(0) ack 1 win 2920 <mss 1460,ws 7>
			> . 1:1(0) ack 1
			write 5000
			> . 1:1461(1460) ack 1
			> P. 1461:2921(1460) ack 1 // half of the largest window: a PSH
			unsent 2080`, params: func(p *Params) { p.WindowScaling = true }},
		{name: "a SYN-ACK with data: the data must come again", script: `
			< S. 0:10(10) ack 1 win 1000 <mss 1460>
			> . 1:1(0) ack 1
			inq 0`},
		{name: "no MSS option means 536", script: `
			< S. 0:0(0) ack 1 win 1000
			> . 1:1(0) ack 1
			mss 536`},
	})
}

// SYN-RECEIVED after two SYNs crossed.
func TestCrossedSynTraces(t *testing.T) {
	traces(t, SynReceived, []trace{
		{name: "the crossed SYN-ACK", script: `
			< S. 0:0(0) ack 1 win 1000 <mss 1460>
			> . 1:1(0) ack 1 <sack 0:1> // the SYN was seen before
			state ESTABLISHED`},
		{name: "an ACK is enough", script: `
			< . 1:1(0) ack 1
			state ESTABLISHED`},
		{name: "an ACK with data", script: `
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11
			state ESTABLISHED
			read 10`},
		{name: "an ACK with a FIN", script: `
			< F. 1:1(0) ack 1
			+.001 > . 1:1(0) ack 2
			state CLOSE-WAIT`},
		{name: "an ACK of more is reset", script: `
			< . 1:1(0) ack 5
			> R 5:5(0)
			state SYN-RECEIVED`},
		{name: "a RST ends it", script: `
			< R 1:1(0)
			state CLOSED
			error ECONNRESET`},
		{name: "a RST in the window is challenged", script: `
			< R 100:100(0)
			> . 1:1(0) ack 1
			state SYN-RECEIVED`},
		{name: "our SYN-ACK is repeated", script: `
			+1 > S. 0:0(0) ack 1
			state SYN-RECEIVED`},
		{name: "close waits for the handshake, RFC 9293 §3.10.4", script: `
			shutdown SHUT_WR
			< . 1:1(0) ack 1
			> F. 1:1(0) ack 1
			state FIN-WAIT-1`},
		{name: "abort resets", script: `
			abort
			> R. 1:1(0) ack 1
			state CLOSED`},
		{name: "a segment without ACK is dropped", script: `
			< P 1:11(10)
			state SYN-RECEIVED`},
	})
}

// TIME-WAIT: RFC 9293 §3.10.7.4 with RFC 6191; ours is at 2, the peer's at 2.
func TestTimeWaitTraces(t *testing.T) {
	traces(t, TimeWait, []trace{
		{name: "it ends after 60 seconds", script: `
			+59 state TIME-WAIT
			+2 state CLOSED`},
		{name: "the FIN again is acknowledged again, and the time begins anew", script: `
			+59 < F. 1:1(0) ack 2
			> . 2:2(0) ack 2
			+59 state TIME-WAIT
			+2 state CLOSED`},
		{name: "a RST ends it, tcp_rfc1337 0", script: `
			< R 2:2(0)
			state CLOSED`},
		{name: "a RST elsewhere does not", script: `
			< R 5:5(0)
			state TIME-WAIT`},
		{name: "a pure ACK of our FIN is not answered", script: `
			< . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "an older pure ACK is answered", script: `
			< . 1:1(0) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "data is answered and not taken", script: `
			< P. 2:12(10) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "a newer SYN makes a new connection, RFC 6191 §2", script: `
			< S 100:100(0) win 1000 <mss 1460>
			> S. 65539:65539(0) ack 101
			state SYN-RECEIVED
			count TWRecycled 0`},
		{name: "an older SYN is answered with an ACK", script: `
			< S -100:-100(0) win 1000 <mss 1460>
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "a SYN with ACK is answered with an ACK", script: `
			< S. 100:100(0) ack 2 win 1000
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "odd SYNs are answered twice a second at most", script: `
			< S -100:-100(0) win 1000
			> . 2:2(0) ack 2
			< S -100:-100(0) win 1000
			count TCPACKSkippedTimeWait 1`},
		{name: "the program reads the end, and close says nothing", script: `
			read EOF
			close
			state TIME-WAIT`},
	})
}

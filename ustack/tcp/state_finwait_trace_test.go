package tcp

import "testing"

// FIN-WAIT-1: our FIN is out, at 1; the peer's data still comes.
func TestFinWait1Traces(t *testing.T) {
	traces(t, FinWait1, []trace{
		{name: "an ACK of the FIN", script: `
			< . 1:1(0) ack 2
			state FIN-WAIT-2`},
		{name: "an ACK of less", script: `
			< . 1:1(0) ack 1
			state FIN-WAIT-1`},
		{name: "a FIN: both close at once", script: `
			< F. 1:1(0) ack 1
			> . 2:2(0) ack 2
			state CLOSING`},
		{name: "a FIN with the ACK of ours", script: `
			< F. 1:1(0) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "data and FIN with the ACK of ours: the data can be read after the end", script: `
			< FP. 1:11(10) ack 2
			> . 2:2(0) ack 12
			state TIME-WAIT
			read 10
			read EOF`},
		{name: "data", script: `
			< P. 1:11(10) ack 1
			> . 2:2(0) ack 11
			read 10
			state FIN-WAIT-1`},
		{name: "data ahead of its turn", script: `
			< P. 11:21(10) ack 2
			> . 2:2(0) ack 1 <sack 11:21>
			state FIN-WAIT-2`},
		{name: "the FIN is sent again after a timeout", script: `
			+.3 > F. 1:1(0) ack 1
			+.6 > F. 1:1(0) ack 1
			< . 1:1(0) ack 2
			state FIN-WAIT-2`, params: func(p *Params) { p.EarlyRetrans = 0 }},
		{name: "a loss probe sends the FIN again, RFC 8985 §7.3", script: `
			+.3 > F. 1:1(0) ack 1
			< . 1:1(0) ack 2
			state FIN-WAIT-2`},
		{name: "write after shutdown", script: `write 10 EPIPE`},
		{name: "close makes it an orphan that goes on", script: `
			close
			state FIN-WAIT-1
			< . 1:1(0) ack 2
			state FIN-WAIT-2`},
		{name: "data after close is reset, RFC 1122 §4.2.2.13", script: `
			close
			< P. 1:11(10) ack 1
			> R 1:1(0)
			state CLOSED
			count TCPAbortOnData 1`},
		{name: "data after close with the ACK of the FIN is reset", script: `
			close
			< P. 1:11(10) ack 2
			> R 2:2(0)
			state CLOSED`},
		{name: "old data after close is acknowledged", script: `
			close
			< P. -9:1(10) ack 1
			> . 2:2(0) ack 1
			state FIN-WAIT-1`},
		{name: "a FIN after close", script: `
			close
			< F. 1:1(0) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "a FIN beyond a hole after close is reset: data is lost", script: `
			close
			< F. 11:11(0) ack 1
			> R 1:1(0)
			state CLOSED`},
		{name: "shutdown again", script: `
			shutdown SHUT_RDWR
			state FIN-WAIT-1
			poll IN|OUT|HUP|RDHUP`},
		{name: "zero window: the FIN has no need of one", script: `
			< . 1:1(0) ack 2 win 0
			state FIN-WAIT-2`},
	})
}

// FIN-WAIT-2: our FIN is acknowledged, the peer has not closed.
func TestFinWait2Traces(t *testing.T) {
	traces(t, FinWait2, []trace{
		{name: "a FIN", script: `
			< F. 1:1(0) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT
			read EOF`},
		{name: "data", script: `
			< P. 1:11(10) ack 2
			> . 2:2(0) ack 11
			read 10
			state FIN-WAIT-2`},
		{name: "data and FIN", script: `
			< FP. 1:11(10) ack 2
			> . 2:2(0) ack 12
			read 10
			read EOF
			state TIME-WAIT`},
		{name: "a FIN ahead of its turn", script: `
			< F. 11:11(0) ack 2
			> . 2:2(0) ack 1
			< P. 1:11(10) ack 2
			> . 2:2(0) ack 12
			state TIME-WAIT`},
		{name: "it waits for ever while a program has it", script: `
			+3600 state FIN-WAIT-2`},
		{name: "an orphan waits tcp_fin_timeout", script: `
			close
			state FIN-WAIT-2
			+59 state FIN-WAIT-2
			+2 state CLOSED`},
		{name: "an orphan's RST", script: `
			close
			< R 1:1(0)
			state CLOSED`},
		{name: "data for an orphan is reset", script: `
			close
			< P. 1:11(10) ack 2
			> R 2:2(0)
			state CLOSED`},
		{name: "a SYN in the window for an orphan's record is reset, tcp_timewait_state_process", script: `
			close
			< S 5:5(0) win 100
			> R. 0:0(0) ack 6
			state CLOSED`},
		{name: "an orphan's FIN goes to TIME-WAIT", script: `
			close
			< F. 1:1(0) ack 2
			> . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "an orphan's data with FIN is reset", script: `
			close
			< FP. 1:11(10) ack 2
			> R 2:2(0)
			state CLOSED`},
		{name: "a duplicate ACK for an orphan is dropped", script: `
			close
			< . 1:1(0) ack 2
			state FIN-WAIT-2`},
		{name: "TCP_LINGER2 -1: no FIN-WAIT-2 for an orphan", script: `
			setsockopt TCP_LINGER2 -1
			close
			> R. 2:2(0) ack 1
			state CLOSED`},
	})
}

// CLOSING: both have closed; ours is not acknowledged.
func TestClosingTraces(t *testing.T) {
	traces(t, Closing, []trace{
		{name: "the ACK of our FIN", script: `
			< . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "an ACK of less", script: `
			< . 2:2(0) ack 1
			state CLOSING`},
		{name: "the FIN again is acknowledged again", script: `
			< F. 1:1(0) ack 1
			> . 2:2(0) ack 2
			state CLOSING`},
		{name: "the FIN again with the ACK of ours", script: `
			< F. 1:1(0) ack 2
			state TIME-WAIT`},
		{name: "data behind the FIN is ignored", script: `
			< P. 2:12(10) ack 1
			state CLOSING`},
		{name: "our FIN is sent again", script: `
			+.3 > F. 1:1(0) ack 2
			state CLOSING`},
		{name: "read is at the end, write fails", script: `
			read EOF
			write 1 EPIPE
			poll IN|OUT|HUP|RDHUP`},
		{name: "close", script: `
			close
			state CLOSING
			< . 2:2(0) ack 2
			state TIME-WAIT`},
		{name: "a reset one in front of RCV.NXT: the peer does not count its FIN, tcp_reset_check", script: `
			< R 1:1(0)
			state CLOSED`},
	})
}

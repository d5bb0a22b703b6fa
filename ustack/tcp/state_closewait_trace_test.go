package tcp

import "testing"

// CLOSE-WAIT: the peer has closed, the program has not.
func TestCloseWaitTraces(t *testing.T) {
	traces(t, CloseWait, []trace{
		{name: "data goes out", script: `
			write 10
			> P. 1:11(10) ack 2
			< . 2:2(0) ack 11
			outq 0`},
		{name: "close", script: `
			close
			> F. 1:1(0) ack 2
			state LAST-ACK`},
		{name: "close with data queued", script: `
			< . 2:2(0) ack 1 win 0
			write 10
			close
			state LAST-ACK
			< . 2:2(0) ack 1 win 100
			> FP. 1:11(10) ack 2
			< . 2:2(0) ack 12
			state CLOSED`},
		{name: "the FIN again is acknowledged again", script: `
			< F. 1:1(0) ack 1
			> . 1:1(0) ack 2
			state CLOSE-WAIT`},
		{name: "a FIN behind the FIN is ignored", script: `
			< F. 2:2(0) ack 1
			state CLOSE-WAIT`},
		{name: "data behind the FIN is ignored", script: `
			< P. 2:12(10) ack 1
			inq 0
			state CLOSE-WAIT`},
		{name: "old data is acknowledged", script: `
			< P. -9:1(10) ack 1
			> . 1:1(0) ack 2
			state CLOSE-WAIT`},
		{name: "a window update", script: `
			< . 2:2(0) ack 1 win 0
			write 10
			< . 2:2(0) ack 1 win 100
			> P. 1:11(10) ack 2`},
		{name: "a reset one in front of RCV.NXT: the peer does not count its FIN", script: `
			< R 1:1(0)
			error EPIPE
			state CLOSED`},
		{name: "poll tells the end and room", script: `
			poll IN|OUT|RDHUP
			read EOF
			read EOF`},
		{name: "abort resets", script: `
			abort
			> R. 1:1(0) ack 2
			state CLOSED`},
		{name: "a retransmission that nobody answers", script: `
			write 10
			> P. 1:11(10) ack 2
			+.3 > P. 1:11(10) ack 2
			< . 2:2(0) ack 11
			state CLOSE-WAIT`},
		{name: "data that begins before the FIN and goes on behind it resets, as the kernel", script: `
			< P. 1:11(10) ack 1
			> R 1:1(0)
			error EPIPE
			state CLOSED`},
	})
	traces(t, Established, []trace{
		{name: "an urgent byte that is announced where the FIN then stands is never skipped", script: `
			< U. 1:1(0) ack 1 urg 1
			< F. 1:1(0) ack 1
			< U. 2:2(0) ack 1 urg 40
			+.001 > . 1:1(0) ack 2
			read EOF
			state CLOSE-WAIT`},
	})
}

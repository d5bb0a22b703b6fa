package tcp

import "testing"

// LAST-ACK: the peer has closed, then we.
func TestLastAckTraces(t *testing.T) {
	traces(t, LastAck, []trace{
		{name: "the ACK of our FIN", script: `
			< . 2:2(0) ack 2
			state CLOSED
			error none`},
		{name: "an ACK of less", script: `
			< . 2:2(0) ack 1
			state LAST-ACK`},
		{name: "the FIN again is acknowledged again", script: `
			< F. 1:1(0) ack 1
			> . 2:2(0) ack 2
			state LAST-ACK`},
		{name: "the FIN again with the ACK of ours", script: `
			< F. 1:1(0) ack 2
			state CLOSED`},
		{name: "our FIN is sent again", script: `
			+.3 > F. 1:1(0) ack 2
			state LAST-ACK`},
		{name: "data behind the FIN is ignored", script: `
			< P. 2:12(10) ack 1
			state LAST-ACK`},
		{name: "a reset one in front of RCV.NXT", script: `
			< R 1:1(0)
			state CLOSED`},
		{name: "close: an orphan gives up earlier", script: `
			close
			state LAST-ACK
			< . 2:2(0) ack 2
			state CLOSED`},
		{name: "read is at the end, write fails", script: `
			read EOF
			write 1 EPIPE`},
	})
}

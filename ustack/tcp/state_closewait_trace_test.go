package tcp

import "testing"

// CLOSE-WAIT: the peer has closed, the program has not.
func TestCloseWaitTraces(t *testing.T) {
	traces(t, CloseWait, []trace{
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

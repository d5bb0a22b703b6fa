package tcp

import "testing"

// ESTABLISHED, segment by segment: RFC 9293 §3.10.7.4, sixth to eighth check.
func TestEstablishedTraces(t *testing.T) {
	traces(t, Established, []trace{
		// new data
		{name: "data in order is acknowledged at once at first", script: `
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 101
			inq 100
			poll IN|OUT
			read 100`},
		{name: "data that begins before the window's left edge is cut there", script: `
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 101
			< P. 51:151(100) ack 1
			> . 1:1(0) ack 151 <sack 51:101>
			read 150`},
		{name: "old data is acknowledged again, with a DSACK", script: `
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 101
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 101 <sack 1:101>
			inq 100
			count DelayedACKLost 1`},
		{name: "part of old data is a DSACK of that part", script: `
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 101
			< P. 21:81(60) ack 1
			> . 1:1(0) ack 101 <sack 21:81>`},
		{name: "data over the right edge is taken whole while nothing is queued", script: `
			setsockopt SO_RCVBUF 2304
			< P. 1:1461(1460) ack 1
			> . 1:1(0) ack 1461
			inq 1460`},
		{name: "ahead of its turn: an ACK that tells what is there", script: `
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< P. 301:401(100) ack 1
			> . 1:1(0) ack 1 <sack 301:401 101:201>
			< P. 1:101(100) ack 1
			> . 1:1(0) ack 201 <sack 301:401>
			< P. 201:301(100) ack 1
			> . 1:1(0) ack 401 <>
			read 400`},
		{name: "the newest of many holes comes first, RFC 2018 §4", script: `
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< P. 301:401(100) ack 1
			> . 1:1(0) ack 1 <sack 301:401 101:201>
			< P. 501:601(100) ack 1
			> . 1:1(0) ack 1 <sack 501:601 301:401 101:201>
			< P. 701:801(100) ack 1
			> . 1:1(0) ack 1 <sack 701:801 501:601 301:401 101:201>
			< P. 901:1001(100) ack 1 // from the fourth duplicate on they are compressed, the first told of a larger window
			+.001 > . 1:1(0) ack 1 <sack 901:1001 701:801 501:601 301:401>`},
		{name: "a run that grows comes first again", script: `
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< P. 301:401(100) ack 1
			> . 1:1(0) ack 1 <sack 301:401 101:201>
			< P. 201:251(50) ack 1
			> . 1:1(0) ack 1 <sack 101:251 301:401>`},
		{name: "two runs that meet are one block", script: `
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< P. 301:401(100) ack 1
			> . 1:1(0) ack 1 <sack 301:401 101:201>
			< P. 201:301(100) ack 1
			> . 1:1(0) ack 1 <sack 101:401>`},
		{name: "the same ahead of its turn twice is a DSACK within its run, RFC 2883 §4", script: `
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201>
			< P. 101:201(100) ack 1
			> . 1:1(0) ack 1 <sack 101:201 101:201>
			count TCPDSACKOfoSent 1`},
		{name: "no bytes, no FIN: nothing to answer", script: `
			< P. 1:1(0) ack 1
			inq 0`},
		// FIN
		{name: "a FIN before any data is acknowledged at the next tick", script: `
			< F. 1:1(0) ack 1
			state CLOSE-WAIT
			poll IN|OUT|RDHUP
			+.001 > . 1:1(0) ack 2`},
		{name: "data with a FIN", script: `
			< FP. 1:11(10) ack 1
			+.04 > . 1:1(0) ack 12
			read 10
			read EOF
			state CLOSE-WAIT`},
		{name: "a FIN ahead of its turn waits for the data before it", script: `
			< F. 11:11(0) ack 1
			> . 1:1(0) ack 1
			state ESTABLISHED
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 12
			state CLOSE-WAIT
			read 10
			read EOF`},
		{name: "data ahead with a FIN, then what was missing", script: `
			< FP. 6:11(5) ack 1
			> . 1:1(0) ack 1 <sack 6:12>
			< P. 1:6(5) ack 1
			> . 1:1(0) ack 12
			read 10
			read EOF`},
		{name: "data behind a FIN that came early is not taken", script: `
			< F. 11:11(0) ack 1
			> . 1:1(0) ack 1
			< P. 12:20(8) ack 1
			> . 1:1(0) ack 1 <sack 12:20 11:12> // it is told of, but goes away with the FIN, tcp_fin
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 12
			state CLOSE-WAIT
			inq 10`},
		{name: "SYN and FIN together are a SYN", script: `
			< SF. 1:1(0) ack 1
			> . 1:1(0) ack 1
			state ESTABLISHED`},
		// ACK and window
		{name: "an ACK of half a segment frees half of it", script: `
			write 1000
			> P. 1:1001(1000) ack 1
			< . 1:1(0) ack 501
			outq 500`},
		{name: "a window update lets data go", script: `
			< . 1:1(0) ack 1 win 0
			write 100
			< . 1:1(0) ack 1 win 1000
			> P. 1:101(100) ack 1`},
		{name: "an older segment does not shrink the window, SND.WL1", script: `
			< P. 1:11(10) ack 1 win 5000
			> . 1:1(0) ack 11
			< . 1:1(0) ack 1 win 10
			> . 1:1(0) ack 11
			write 1000
			> P. 1:1001(1000) ack 11`},
		{name: "the same number with a smaller window leaves it, Linux 6.18", script: `
			< . 1:1(0) ack 1 win 5000
			< . 1:1(0) ack 1 win 10
			write 1000
			> P. 1:1001(1000) ack 1`},
		{name: "the same number with no window closes it", script: `
			< . 1:1(0) ack 1 win 0
			write 1000
			unsent 1000`},
		{name: "a closed window is probed with an old number, no data", script: `
			< . 1:1(0) ack 1 win 0
			write 100
			+.3 > . 0:0(0) ack 1
			< . 1:1(0) ack 1 win 0
			+.6 > . 0:0(0) ack 1
			< . 1:1(0) ack 1 win 100
			> P. 1:101(100) ack 1`},
		{name: "a window smaller than the data waits for a timer, SWS avoidance", script: `
			< . 1:1(0) ack 1 win 0
			write 100
			< . 1:1(0) ack 1 win 50
			+.3 > P. 1:51(50) ack 1
			unsent 50`},
		{name: "a window that shrank below what is out: retransmission keeps to it", script: `
			write 1000
			> P. 1:1001(1000) ack 1
			< . 1:1(0) ack 501 win 0
			outq 500
			+.3 > P. 501:1001(500) ack 1`, params: func(p *Params) { p.EarlyRetrans = 0 }},
		// URG
		{name: "an urgent byte is told and taken out", script: `
			< PU. 1:11(10) ack 1 urg 10
			> . 1:1(0) ack 11
			poll IN|PRI|OUT
			read 9
			read 1 MSG_OOB
			read EAGAIN`},
		{name: "urgent data announced only: MSG_OOB waits", script: `
			< U. 1:1(0) ack 1 urg 5
			read EAGAIN
			< P. 1:5(4) ack 1
			> . 1:1(0) ack 5
			read 3`},
		{name: "an urgent pointer to the past is nothing", script: `
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11
			read 10
			< PU. 11:12(1) ack 1 urg 0
			> . 1:1(0) ack 12`},
		// calls
		{name: "close with nothing unread sends a FIN", script: `
			close
			> F. 1:1(0) ack 1
			state FIN-WAIT-1`},
		{name: "close with something unread resets, RFC 2525 §2.17", script: `
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11
			close
			> R. 1:1(0) ack 11
			state CLOSED
			count TCPAbortOnClose 1`},
		{name: "close with SO_LINGER 0 resets", script: `
			setsockopt SO_LINGER 1 0
			write 10
			> P. 1:11(10) ack 1
			close
			> R. 11:11(0) ack 1
			state CLOSED`},
		{name: "close sends what is queued before the FIN", script: `
			< . 1:1(0) ack 1 win 0
			write 1500
			close
			state FIN-WAIT-1
			< . 1:1(0) ack 1 win 1460
			> . 1:1461(1460) ack 1
			< . 1:1(0) ack 1461 win 1000
			> FP. 1461:1501(40) ack 1
			state FIN-WAIT-1`},
		{name: "shutdown of writing leaves reading", script: `
			shutdown SHUT_WR
			> F. 1:1(0) ack 1
			write 10 EPIPE
			< P. 1:11(10) ack 2
			> . 2:2(0) ack 11
			read 10`},
		{name: "shutdown of reading: data still comes, a read ends at once when there is none", script: `
			shutdown SHUT_RD
			read EOF
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11
			read 10
			state ESTABLISHED`},
		{name: "shutdown of both", script: `
			shutdown SHUT_RDWR
			> F. 1:1(0) ack 1
			poll IN|OUT|HUP|RDHUP
			state FIN-WAIT-1`},
		{name: "an error is told once", script: `
			< R 1:1(0)
			read ECONNRESET
			read EOF
			write 10 EPIPE`},
	})
}

// The same with timestamps: PAWS, RFC 7323 §5.
func TestPAWSTraces(t *testing.T) {
	for _, x := range []trace{
		{name: "data with an old timestamp is answered and dropped", script: `
			< P. 1:11(10) ack 1 <ts 50 1>
			> . 1:1(0) ack 1
			inq 0
			count PAWSEstab 1`},
		{name: "an old timestamp on a RST does not save from it", script: `
			< R 1:1(0) <ts 50 1>
			state CLOSED`},
		{name: "a SYN with an old timestamp is challenged", script: `
			< S 500:500(0) win 100 <mss 1000,ts 50 0>
			> . 1:1(0) ack 1
			state ESTABLISHED`},
		{name: "a segment without timestamp is taken, as Linux", script: `
			< P. 1:11(10) ack 1
			> . 1:1(0) ack 11`},
		{name: "the echo is that of the segment that moved the edge, RFC 7323 §4.3", script: `
			< P. 11:21(10) ack 1 <ts 120 1>
			> . 1:1(0) ack 1 <ts 0 100,sack 11:21>
			< P. 1:11(10) ack 1 <ts 110 1>
			> . 1:1(0) ack 21 <ts 0 110>`},
		{name: "equal timestamps pass", script: `
			< P. 1:11(10) ack 1 <ts 100 1>
			> . 1:1(0) ack 11`},
		{name: "a timestamp one tick back passes on a duplicate ACK only", script: `
			< . 1:1(0) ack 1 <ts 99 1>
			< P. 1:11(10) ack 1 <ts 98 1>
			> . 1:1(0) ack 1
			inq 0`},
		{name: "a timestamp that wrapped around is newer", script: `
			< P. 1:11(10) ack 1 <ts 2147483647 1>
			> . 1:1(0) ack 11
			< P. 11:21(10) ack 1 <ts -2 1>
			> . 1:1(0) ack 21`},
	} {
		t.Run(x.name, func(t *testing.T) { established(t, withTS).run(x.script) })
	}
}

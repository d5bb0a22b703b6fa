package tcp

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What the synchronized states share: RFC 9293 §3.10.7.4, first to fifth check, one row for each kind of segment. In the
// scripts rcv, snd and una stand for RCV.NXT, SND.NXT and SND.UNA, E for the error that a reset leaves.
var synchronizedRows = []trace{
	// "first, check sequence number"
	{name: "a SYN in the window is challenged, RFC 5961 §4.2", script: `
		< S rcv+100:rcv+100(0) win 1000 <mss 1460>
		> . snd:snd(0) ack rcv
		count TCPSYNChallenge 1
		state same`},
	{name: "a SYN beyond the window is challenged", script: `
		< S rcv+900000:rcv+900000(0) win 1000 <mss 1460>
		> . snd:snd(0) ack rcv
		state same`},
	{name: "a SYN-ACK is challenged", script: `
		< S. rcv+5:rcv+5(0) ack snd win 1000 <mss 1460>
		> . snd:snd(0) ack rcv
		state same`},
	{name: "the old SYN again is challenged", script: `
		< S 0:0(0) win 1000 <mss 1460>
		> . snd:snd(0) ack rcv
		state same`},
	{name: "a second SYN within half a second gets no answer", script: `
		< S rcv+100:rcv+100(0) win 1000
		> . snd:snd(0) ack rcv
		< S rcv+100:rcv+100(0) win 1000
		count TCPACKSkippedChallenge 1
		state same`},
	// "second, check the RST bit"
	{name: "an exact RST ends it, RFC 5961 §3.2", script: `
		< R rcv:rcv(0)
		error E
		poll IN|OUT|HUP|RDHUP
		state CLOSED`},
	{name: "an exact RST with ACK ends it, whatever it acknowledges", script: `
		< R. rcv:rcv(0) ack snd+1000
		error E
		state CLOSED`},
	{name: "a RST in the window is challenged", script: `
		< R rcv+100:rcv+100(0)
		> . snd:snd(0) ack rcv
		count TCPChallengeACK 1
		state same`},
	{name: "a RST beyond the window is dropped", script: `
		< R rcv+900000:rcv+900000(0)
		state same`},
	{name: "a RST in front of the window is dropped", script: `
		< R rcv-70:rcv-70(0)
		state same`},
	{name: "two RSTs in the window are challenged once", script: `
		< R rcv+100:rcv+100(0)
		> . snd:snd(0) ack rcv
		< R rcv+200:rcv+200(0)
		state same`},
	// "fifth, check the ACK field"
	{name: "a segment without ACK is dropped", script: `
		< P rcv:rcv(0)
		< F rcv:rcv(0)
		state same`},
	{name: "data without ACK is dropped", script: `
		< P rcv:rcv+10(10)
		inq 0
		state same`},
	{name: "an ACK of the unsent is answered and changes nothing", script: `
		< . rcv:rcv(0) ack snd+1
		> . snd:snd(0) ack rcv
		state same`},
	{name: "an ACK far beyond what was sent is answered", script: `
		< . rcv:rcv(0) ack snd+100000
		> . snd:snd(0) ack rcv
		state same`},
	{name: "an ACK older than any window is challenged, RFC 5961 §5.2", script: `
		< . rcv:rcv(0) ack una-70000
		> . snd:snd(0) ack rcv
		state same`},
	{name: "an old ACK within a window is dropped", script: `
		< . rcv:rcv(0) ack una-100
		state same`},
	{name: "a duplicate ACK without anything is dropped", script: `
		< . rcv:rcv(0) ack una
		< . rcv:rcv(0) ack una
		state same`},
	{name: "a pure ACK in front of the window is answered, at most twice a second", script: `
		< . rcv-200:rcv-200(0) ack una
		> . snd:snd(0) ack rcv
		< . rcv-200:rcv-200(0) ack una
		+.5 < . rcv-200:rcv-200(0) ack una
		> . snd:snd(0) ack rcv
		state same`, params: noRetransmission},
	{name: "a keep-alive probe is answered", script: `
		< . rcv-1:rcv-1(0) ack una
		> . snd:snd(0) ack rcv
		state same`},
	{name: "data beyond the window is answered and not kept", script: `
		< . rcv+900000:rcv+900100(100) ack una
		> . snd:snd(0) ack rcv
		inq 0
		state same`},
	// "third, check security" is nothing; ICMP and calls
	{name: "an ICMP error is what a reset or timeout may tell, no more", script: `
		icmp EHOSTUNREACH snd
		state same
		error none`},
	{name: "an abort resets what the peer still believes in", script: `
		abort
		state CLOSED`},
}

// noRetransmission keeps a FIN that waits for its ACK from being sent again during a trace.
func noRetransmission(p *Params) { p.RTOMin, p.EarlyRetrans = 100e9, 0 }

func TestSynchronizedTraces(t *testing.T) {
	for _, s := range []struct {
		state           State
		rcv, snd, acked int
		err, reset      string
	}{
		{Established, 1, 1, 1, "ECONNRESET", "R. 1:1(0) ack 1"},
		{FinWait1, 1, 2, 1, "ECONNRESET", "R. 2:2(0) ack 1"},
		{FinWait2, 1, 2, 2, "ECONNRESET", "R. 2:2(0) ack 1"},
		{CloseWait, 2, 1, 1, "EPIPE", "R. 1:1(0) ack 2"},
		{Closing, 2, 2, 1, "ECONNRESET", ""},
		{LastAck, 2, 2, 1, "ECONNRESET", ""},
	} {
		var rows []trace
		for _, x := range synchronizedRows {
			x.script = fillIn(x.script, map[string]int{"rcv": s.rcv, "snd": s.snd, "una": s.acked})
			x.script = strings.ReplaceAll(x.script, "error E\n", "error "+s.err+"\n")
			x.script = strings.ReplaceAll(x.script, "state same", "state "+s.state.String())
			if s.reset != "" { // CLOSING, LAST-ACK: "Respond with 'ok' and delete the TCB": no segment. RFC 9293 §3.10.5
				x.script = strings.ReplaceAll(x.script, "abort\n", "abort\n> "+s.reset+"\n")
			}
			rows = append(rows, x)
		}
		t.Run(s.state.String(), func(t *testing.T) { traces(t, s.state, rows) })
	}
}

var traceName = regexp.MustCompile(`\b(rcv|snd|una)([+-]\d+)?\b`)

// fillIn puts numbers in the place of names, with what is added to them: "rcv+100:rcv+110(10) ack una".
func fillIn(script string, vars map[string]int) string {
	return traceName.ReplaceAllStringFunc(script, func(w string) string {
		m := traceName.FindStringSubmatch(w)
		add, _ := strconv.Atoi(m[2])
		return strconv.Itoa(vars[m[1]] + add)
	})
}

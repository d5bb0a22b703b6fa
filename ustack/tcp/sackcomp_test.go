package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// holed is a connection with a round trip of 10 ms, its quick ACKs used up, and a hole at 1.
func holed(t *testing.T) *rig {
	r := established(t)
	r.interactive()
	r.c.snd.rtt.srtt = 10e6
	r.ahead(1)
	r.want(". 1:1(0) ack 1 <sack 1001:2001>")
	return r
}

// ahead sends the nth segment of a thousand bytes.
func (r *rig) ahead(n int) {
	r.t.Helper()
	r.send(fmt.Sprintf(". %d:%d(1000) ack 1", 1+1000*n, 1001+1000*n))
}

func TestSackCompression(t *testing.T) {
	r := holed(t)
	for i := 2; i <= 3; i++ { // "the arrival of 3 duplicate ACKs" RFC 5681 §3.2 begins the repair
		r.ahead(i)
		r.want(fmt.Sprintf(". 1:1(0) ack 1 <sack 1001:%d>", 1001+1000*i))
	}
	for i := 4; i <= 10; i++ {
		r.ahead(i)
		r.wantIdle()
	}
	r.advance(499 * time.Microsecond) // a twentieth of the round trip
	r.wantIdle()
	r.advance(time.Microsecond)
	r.want(". 1:1(0) ack 1 <sack 1001:11001>")
	require.EqualValues(t, 7, r.h.MIB.TCPAckCompressed)
	for i := 11; i <= 54; i++ {
		r.ahead(i)
		r.wantIdle()
	}
	r.ahead(55) // tcp_comp_sack_nr
	r.want(". 1:1(0) ack 1 <sack 1001:56001>")
	r.send(". 1:1001(1000) ack 1")
	r.want(". 1:1(0) ack 56001 <>")
	r.read(1, 56000)
	r.out = nil // a window update
	r.advance(time.Second)
	r.wantIdle()
}

func TestSackCompressionTellsOfEachChange(t *testing.T) {
	r := holed(t)
	r.ahead(2)
	r.ahead(3)
	r.out = nil
	r.ahead(4)
	r.wantIdle()
	r.ahead(6) // a hole, and the growth of the run below, are to be told
	r.want(". 1:1(0) ack 1 <sack 6001:7001 1001:5001>")
	r.ahead(8)
	r.wantIdle()
	r.ahead(10)
	r.want(". 1:1(0) ack 1 <sack 10001:11001 8001:9001 6001:7001 1001:5001>")
	r.ahead(7) // two runs become one
	r.wantIdle()
	r.ahead(5) // and with a third
	r.wantIdle()
	r.ahead(11)
	r.want(". 1:1(0) ack 1 <sack 10001:12001 1001:9001>")
	r.ahead(23)
	r.wantIdle()
	r.ahead(23) // a duplicate does not wait
	require.Len(t, r.out, 1)
}

func TestBatchTellsOfEachChange(t *testing.T) {
	// What came in one batch is acknowledged once, unless that would leave a change untold.
	r := holed(t)
	r.ahead(2)
	r.out = nil
	for _, i := range []int{0, 4, 6, 8, 10, 12} {
		s := r.parse(fmt.Sprintf(". %d:%d(1000) ack 1", 1+1000*i, 1001+1000*i))
		r.c.Input(r.now, s, r)
		s.Buf.Release()
	}
	r.c.Output(r.now, r)
	told := map[string]bool{}
	for _, s := range r.out {
		for _, b := range s.h.Opts.SACK[:s.h.Opts.NSACK] {
			told[fmt.Sprint(Seq(b.Left).Sub(r.irs))] = true
		}
	}
	require.Equal(t, map[string]bool{"4001": true, "6001": true, "8001": true, "10001": true, "12001": true}, told)
}

func TestProgressBeginsCompressionAnew(t *testing.T) {
	// Each new cumulative ACK may be the one the sender counts duplicates of.
	r := holed(t)
	for i := 2; i <= 8; i += 2 {
		r.ahead(i)
	}
	r.out = nil
	r.send(". 1:1001(1000) ack 1")
	r.want(". 1:1(0) ack 3001 <sack 8001:9001 6001:7001 4001:5001>")
	for i := 9; i <= 10; i++ {
		r.ahead(i)
		r.want(fmt.Sprintf(". 1:1(0) ack 3001 <sack 8001:%d 6001:7001 4001:5001>", 1001+1000*i))
	}
	r.ahead(11)
	r.wantIdle()
}

func TestNoSackCompression(t *testing.T) {
	for _, change := range []func(*Params){func(p *Params) { p.CompSackNr = 0 }, func(p *Params) { p.SACK = false }} {
		r := established(t, change)
		r.interactive()
		for i := 1; i < 10; i++ {
			r.ahead(i)
			r.want(". 1:1(0) ack 1")
		}
	}
}

// Package moves hands live connections of a running program to the kernel and back, by hand, while data goes both ways and packets
// are lost: the peer must not notice.
package moves

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// styles are what testdata/duplex.c can do.
var styles = []string{"threads", "poll", "epoll", "epollet", "epollone"}

// pause is after each write of either end: the short form leaves the machine's cores to others, too.
var pause = 2 * time.Millisecond

func long() bool { return os.Getenv("SLT_MOVES") != "" }

func init() {
	if long() {
		pause = 0
	}
}

// seed is for the order of things in a run.
func seed(t *testing.T) uint64 {
	n := uint64(1)
	if s := os.Getenv("SLT_SEED"); s != "" {
		var err error
		n, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	return n
}

// wanted is how many moves a run makes: few in CI, N=… make moves for more.
func wanted(t *testing.T) int {
	n := 100
	if s := os.Getenv("SLT_MOVES"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	return n
}

// TestMovesUnderLoad: full-duplex streams in each style of I/O lose, repeat and reorder nothing, at 1 % loss each way.
func TestMovesUnderLoad(t *testing.T) {
	r := newRig(t)
	r.lose(0.01)
	report := r.reports()
	p := r.serve(len(styles))
	var peers []*peer
	for i, s := range styles {
		peers = append(peers, r.stream(i, s))
		peers[i].failing = report.failed
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, c := range peers {
		wg.Add(2)
		go c.send(&wg)
		go c.receive(&wg)
	}
	go watch(peers, done)
	t.Cleanup(func() {
		close(done)
		t.Logf("%s; %s", r.times(), pace(peers))
	})
	moved := r.moveUntil(wanted(t), proto.Which{Pid: p.pid()}, func() bool { return !failed(peers) })
	for _, c := range peers {
		c.stop()
	}
	wg.Wait()
	for _, c := range peers {
		require.NoError(t, c.err, "%s, after %d moves", c.style, moved)
	}
	p.wait()
	for i, c := range peers {
		require.Contains(t, p.said(), fmt.Sprintf("over %d sent %d got %d\n", i, c.got, c.sent), "%s", c.style)
	}
	require.GreaterOrEqual(t, moved, wanted(t))
	t.Logf("%d moves; seed %d", moved, seed(t))
}

// TestTwoWritersAtTheInstantOfAMove: two threads write records into one connection, and a third one reads: each record arrives once, whole
// and in its thread's order.
func TestTwoWritersAtTheInstantOfAMove(t *testing.T) {
	r := newRig(t)
	p := r.serve(1)
	c := r.dial("writers")
	var next [2]int
	var bad error
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		in := bufio.NewReader(c)
		line := make([]byte, 64)
		for bad == nil {
			if _, err := io.ReadFull(in, line); err != nil {
				if err != io.EOF {
					bad = err
				}
				return
			}
			var who string
			var n int
			if _, err := fmt.Sscanf(string(line), "RECORD %1s %d", &who, &n); err != nil || line[63] != '\n' || n != next[who[0]-'a'] {
				bad = fmt.Errorf("record %q after %v", line, next)
				return
			}
			next[who[0]-'a']++
		}
	}()
	moved := r.moveUntil(wanted(t), proto.Which{Pid: p.pid()}, func() bool { return true })
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	wg.Wait()
	p.wait()
	require.NoError(t, bad)
	require.Contains(t, p.said(), fmt.Sprintf("over 0 sent %d got 0\n", 64*(next[0]+next[1])))
	t.Logf("%d moves over %d records; %s", moved, next[0]+next[1], r.times())
}

// TestAWaitNeedsNoMoreStackForEachMove: a receive that waits while its connection goes to and fro all the time. It needed some 3 KiB more for each way there
// and back: after 6,000 moves of TestTwoWritersAtTheInstantOfAMove the thread's 8 MiB were used up, and the program ended.
func TestAWaitNeedsNoMoreStackForEachMove(t *testing.T) {
	r := newRig(t)
	r.stack = 256 << 10
	p := r.serve(1)
	c := r.dial("silent")
	bedtest.Until(t, "the connection to be accepted", func() bool { return r.open() > 0 })
	for moved, end := 0, time.Now().Add(bedtest.CleanLimit); moved < 400; {
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
			m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
			require.NoError(t, err)
			moved += m.Moved
			time.Sleep(2 * time.Millisecond) // the thread sees each
		}
		require.True(t, time.Now().Before(end), "%d moves only", moved)
	}
	echoed(t, c, "still there")
	require.NoError(t, c.Close())
	p.wait()
}

// TestATimeOutCountsFromTheCallsBeginning: calls with SO_RCVTIMEO and SO_SNDTIMEO of two seconds, whose connection moves after one and a half. The move began
// them anew.
func TestATimeOutCountsFromTheCallsBeginning(t *testing.T) {
	r := newRig(t)
	p := r.serve(1)
	c := r.dial("deadline")
	ops := []proto.Op{proto.OpDetach, proto.OpAttach, proto.OpDetach}
	for i, call := range []string{"recv", "send", "sendfile"} {
		bedtest.Until(t, call, func() bool { return strings.Contains(p.said(), call+" begins\n") })
		time.Sleep(1500 * time.Millisecond)
		m, err := broker.Move(r.socket, ops[i], proto.Which{Pid: p.pid()})
		require.NoError(t, err)
		require.Equal(t, 1, m.Moved, "%s: %s", call, m.Why)
		bedtest.Until(t, call+" to end", func() bool { return strings.Contains(p.said(), call+" ended after ") })
		_, after, _ := strings.Cut(p.said(), call+" ended after ")
		var ms int
		_, err = fmt.Sscan(after, &ms)
		require.NoError(t, err)
		require.GreaterOrEqual(t, ms, 2000, call)
		require.Less(t, ms, 3000, "%s; begun anew it ends after 3500", call)
	}
	require.NoError(t, c.Close())
	p.wait()
}

// TestAVectorIsDoneWholeThoughItMoves: a call with 200 buffers that waits while its connection moves goes on with all of them. It ended after the 64
// that are passed on at once.
func TestAVectorIsDoneWholeThoughItMoves(t *testing.T) {
	r := newRig(t)
	p := r.serve(1)
	c := r.dial("vector")
	begun := func(call string) {
		bedtest.Until(t, call, func() bool { return strings.Contains(p.said(), call+" begins\n") })
		time.Sleep(200 * time.Millisecond)
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach, proto.OpDetach} {
			m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
			require.NoError(t, err)
			require.Equal(t, 1, m.Moved, "%s: %s", call, m.Why)
			time.Sleep(apart)
		}
	}
	begun("writev")
	_, err := io.CopyN(io.Discard, c, 200*64<<10)
	require.NoError(t, err)
	m, err := broker.Move(r.socket, proto.OpAttach, proto.Which{Pid: p.pid()})
	require.NoError(t, err)
	require.Equal(t, 1, m.Moved, "%s", m.Why)
	_, err = c.Write(make([]byte, 1500))
	require.NoError(t, err)
	begun("recvmsg")
	_, err = c.Write(make([]byte, 200<<10-1500))
	require.NoError(t, err)
	p.wait()
	require.Contains(t, p.said(), "writev: 13107200\n")
	require.Contains(t, p.said(), "recvmsg: 204800\n")
}

// TestAHandlerAtTheInstantOfAMove: a signal handler makes calls on a connection that its own thread is about to make the kernel's: it waited for its thread.
func TestAHandlerAtTheInstantOfAMove(t *testing.T) {
	r := newRig(t)
	p := r.serve(1)
	c := r.dial("handler")
	bedtest.Until(t, "the connection to be accepted", func() bool { return r.open() > 0 })
	for moved, end := 0, time.Now().Add(bedtest.CleanLimit); moved < 200; {
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
			m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
			require.NoError(t, err)
			moved += m.Moved
			echoed(t, c, "still there")
		}
		require.True(t, time.Now().Before(end), "%d moves only", moved)
	}
	require.NoError(t, c.Close())
	p.wait()
}

// apart is how long after one move the next one is made: a socket that was taken from the kernel stays there for a moment, and going back waits for it.
const apart = 50 * time.Millisecond

// TestOneConnectionByItsAddresses moves one of two, with empty queues, and measures how long it stands still.
func TestOneConnectionByItsAddresses(t *testing.T) {
	r := newRig(t)
	p := r.serve(2)
	one, other := r.dial("silent"), r.dial("silent")
	w := proto.Which{Local: addrPort(one.RemoteAddr()), Remote: addrPort(one.LocalAddr())}
	for i := range max(wanted(t)/2, 50) {
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
			m, err := broker.Move(r.socket, op, w)
			require.NoError(t, err)
			require.Equal(t, 1, m.Moved, "%s: %s", op, m.Why)
			require.Zero(t, m.Left)
			r.note(op, m)
			time.Sleep(apart)
			for _, c := range []net.Conn{one, other} {
				echoed(t, c, fmt.Sprintf("%s %d", op, i))
			}
		}
	}
	st := r.status()
	require.Equal(t, st.Counters.HandedOver, st.Counters.TakenOver)
	require.NoError(t, one.Close())
	require.NoError(t, other.Close())
	p.wait()
	t.Log(r.times())
}

// TestBackAtOnce: connections go back as soon as they have come, one alone and several, and all of them do.
func TestBackAtOnce(t *testing.T) {
	const many = 8
	r := newRig(t)
	p := r.serve(many)
	var conns []net.Conn
	for range many {
		conns = append(conns, r.dial("silent"))
	}
	one := proto.Which{Local: addrPort(conns[0].RemoteAddr()), Remote: addrPort(conns[0].LocalAddr())}
	for i := range 10 {
		for _, w := range []proto.Which{one, {Pid: p.pid()}} {
			want, came := map[bool]int{true: many, false: 1}[w.Pid != 0], 0
			m, err := broker.Move(r.socket, proto.OpDetach, w)
			require.NoError(t, err)
			require.Equal(t, want, m.Moved, m.Why)
			bedtest.Until(t, "the connections to come", func() bool { // a thread may not have seen yet that its connection is the kernel's
				m, err := broker.Move(r.socket, proto.OpAttach, w)
				came += m.Moved
				return err == nil && came == want
			})
		}
		for _, c := range conns {
			echoed(t, c, fmt.Sprint("round ", i))
		}
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	p.wait()
}

// TestAClosedDescriptorsEntry: an entry of the kernel's epoll set that was added under a descriptor which is closed since cannot be taken out, and
// would tell of the end of the socket that an attach leaves behind: the connection stays. By the kernel alone nothing is told either.
func TestAClosedDescriptorsEntry(t *testing.T) {
	for _, accelerated := range []bool{false, true} {
		t.Run(fmt.Sprint("accelerated=", accelerated), func(t *testing.T) {
			r := newRig(t)
			p := r.serveBy(accelerated, 1)
			c := r.dial("closing")
			move := func(op proto.Op, moved int) {
				if !accelerated {
					return
				}
				m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
				require.NoError(t, err)
				require.Equal(t, moved, m.Moved, "%s: %s", op, m.Why)
			}
			echoed(t, c, "x")
			for range 3 {
				move(proto.OpDetach, 1)
				echoed(t, c, "x")
				move(proto.OpAttach, 1)
				echoed(t, c, "x")
			}
			move(proto.OpDetach, 1)
			echoed(t, c, "c")
			for range 3 {
				move(proto.OpAttach, 0)
				echoed(t, c, "x")
			}
			require.NoError(t, c.Close())
			p.wait()
			require.Contains(t, p.said(), "over 0")
		})
	}
}

// TestNoEdgeByAMove: an edge-triggered entry tells of what comes, by the kernel once each time, and not of moves.
func TestNoEdgeByAMove(t *testing.T) {
	for _, accelerated := range []bool{false, true} {
		t.Run(fmt.Sprint("accelerated ", accelerated), func(t *testing.T) {
			r := newRig(t)
			p := r.program("edges", accelerated)
			c := r.dial("silent")
			events := func(n int) {
				bedtest.Until(t, "an event", func() bool { return strings.Count(p.said(), "event") >= n })
			}
			bedtest.Until(t, "the request", func() bool { return strings.Contains(p.said(), "event 5") })
			n := strings.Count(p.said(), "event")
			for range 10 {
				for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
					if accelerated {
						m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
						require.NoError(t, err)
						require.Equal(t, 1, m.Moved, m.Why)
					}
					time.Sleep(apart)
					require.Equal(t, n, strings.Count(p.said(), "event"), "%s: %s", op, p.said())
					_, err := c.Write([]byte("x"))
					require.NoError(t, err)
					n++
					events(n)
				}
			}
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
			p.wait()
			require.Equal(t, n+1, strings.Count(p.said(), "event"), p.said())
		})
	}
}

// TestManyIdleConnections moves all connections of a program at a time, with empty queues.
func TestManyIdleConnections(t *testing.T) {
	const many = 32
	r := newRig(t)
	p := r.serve(many)
	var conns []net.Conn
	for range many {
		conns = append(conns, r.dial("silent"))
		echoed(t, conns[len(conns)-1], "hello")
	}
	for i := range max(wanted(t)/many/2, 5) {
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
			m, err := broker.Move(r.socket, op, proto.Which{Pid: p.pid()})
			require.NoError(t, err)
			require.Equal(t, many, m.Moved, "%s: %s", op, m.Why)
			r.note(op, m)
			time.Sleep(apart)
			for _, c := range conns {
				echoed(t, c, fmt.Sprintf("%s %d", op, i))
			}
		}
	}
	for _, c := range conns {
		require.NoError(t, c.Close())
	}
	p.wait()
	t.Log(r.times())
}

// TestUnreadAndUnsent: what lies in the queues goes along, both ways.
func TestUnreadAndUnsent(t *testing.T) {
	r := newRig(t)
	p := r.serve(1)
	c := r.stream(0, "epoll")
	var wg sync.WaitGroup
	for range 5 {
		// Nothing is read here: the program's send queue fills up, and its receive queue is never empty for long.
		wg.Add(1)
		go c.send(&wg)
		time.Sleep(50 * time.Millisecond)
		r.moveUntil(2, proto.Which{Pid: p.pid()}, func() bool { return true })
		c.pause(&wg)
	}
	c.stop()
	wg.Add(2)
	go c.receive(&wg)
	go c.send(&wg)
	wg.Wait()
	p.wait()
	require.NoError(t, c.err)
	require.Contains(t, p.said(), fmt.Sprintf("over 0 sent %d got %d\n", c.got, c.sent))
}

// TestUnknownConnectionsAreRefused: a clear answer for what nobody has.
func TestUnknownConnectionsAreRefused(t *testing.T) {
	r := newRig(t)
	r.serve(1)
	_, err := broker.Move(r.socket, proto.OpDetach, proto.Which{Pid: 1 << 22})
	require.ErrorContains(t, err, "no program here")
	_, err = broker.Move(r.socket, proto.OpAttach, proto.Which{})
	require.ErrorContains(t, err, "needs a process or a connection")
	c := r.dial("silent")
	echoed(t, c, "x")
	require.NoError(t, c.Close())
}

func echoed(t *testing.T, c net.Conn, s string) {
	t.Helper()
	require.NoError(t, c.SetDeadline(time.Now().Add(bedtest.CleanLimit)))
	_, err := io.WriteString(c, s)
	require.NoError(t, err)
	b := make([]byte, len(s))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, s, string(b))
	require.NoError(t, c.SetDeadline(time.Time{}))
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

func failed(peers []*peer) bool {
	for _, c := range peers {
		if c.failed() {
			return true
		}
	}
	return false
}

package sim

import (
	"encoding/binary"
	"errors"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Names of <linux/socket.h> and <linux/tcp.h>.
const (
	solSocket = 1
	solTCP    = 6

	soSndBuf    = 7
	soRcvBuf    = 8
	soKeepAlive = 9
	soOOBInline = 10
	soRcvLowat  = 18
	soMaxPacing = 47

	tcpNoDelay    = 1
	tcpCork       = 3
	tcpKeepIdle   = 4
	tcpKeepIntvl  = 5
	tcpKeepCnt    = 6
	tcpQuickAck   = 12
	tcpCongestion = 13

	msgOOB  = 0x1
	msgPeek = 0x2
	msgMore = 0x8000
)

func (k *talk) set(e *end, level, name int, v int64) {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	if err := e.sock.SetOption(k.w.now, level, name, b[:]); err != nil {
		k.w.t.Fatalf("setsockopt %d %d %d: %v", level, name, v, err)
	}
}

// do is one operation of the plan.
func (k *talk) do(side int, e *end, op *event) {
	now := k.w.now
	switch op.What {
	case "stop reading":
		e.noRead = now + op.For
	case "stop writing":
		e.noWrite = now + op.For
	case "cork":
		e.corked = now + max(op.For, 1)
		k.set(e, solTCP, tcpCork, 1)
	case "nodelay":
		k.set(e, solTCP, tcpNoDelay, op.N)
	case "rcvbuf":
		k.set(e, solSocket, soRcvBuf, op.N)
	case "sndbuf":
		k.set(e, solSocket, soSndBuf, op.N)
	case "lowat":
		k.set(e, solSocket, soRcvLowat, op.N)
	case "quickack":
		k.set(e, solTCP, tcpQuickAck, 0)
	case "pacing":
		k.set(e, solSocket, soMaxPacing, 200_000)
	case "congestion":
		name := []string{"reno", "cubic", "bbr"}[op.N]
		if err := e.sock.SetOption(now, solTCP, tcpCongestion, []byte(name)); err != nil {
			k.w.t.Fatalf("TCP_CONGESTION %s: %v", name, err)
		}
	case "keepalive":
		e.keepalive = op.N
		k.set(e, solTCP, tcpKeepIdle, op.N)
		k.set(e, solTCP, tcpKeepIntvl, 1)
		k.set(e, solTCP, tcpKeepCnt, 3)
		k.set(e, solSocket, soKeepAlive, 1)
	case "urgent":
		e.flags = msgOOB
	case "more":
		e.flags = msgMore
	case "peek":
		k.peek(e, &k.end[1-side])
	default:
		k.finish(side, e, op)
	}
}

// finish has the operations that end a connection, or a part of it, or move it.
func (k *talk) finish(side int, e *end, op *event) {
	now := k.w.now
	switch op.What {
	case "half-close":
		e.total = e.sent
	case "abort":
		k.rude, e.gone = true, true
		e.sock.Abort(now)
	case "close":
		k.rude = k.rude || !e.eof || !e.shut
		k.close(e)
	case "thaw":
		_, err := e.sock.Freeze(now)
		if err == nil {
			e.frozen = now + max(op.For, ms)
			k.health.still[e.sock] = true
		} else if !errors.Is(err, tcp.ErrCannotMove) {
			k.w.t.Fatalf("freeze: %v", err)
		}
	case "move":
		k.move(side, e)
	default:
		k.w.t.Fatalf("no operation %q", op.What)
	}
}

// peek reads without taking.
func (k *talk) peek(e, from *end) {
	var buf [4096]byte
	n, _, err := e.sock.Recv(k.w.now, [][]byte{buf[:]}, msgPeek)
	if err != nil {
		return
	}
	if i := from.out.differs(buf[:n], e.got); i >= 0 {
		k.w.t.Fatalf("peek: byte %d is wrong", e.got+i)
	}
}

// move takes the connection out of its stack and puts it back, as a hand-over to the kernel and a return do.
func (k *talk) move(side int, e *end) {
	h := k.w.host[side]
	if h.pool.Available() < (e.sock.InQ()+e.sock.OutQ())/500+16 {
		return
	}
	e.sock = k.w.move(h, e.sock)
	h.words[e.sock] = e.sock.Ready()
	k.w.watch.moved(side, e.sock)
}

// blame judges an error that a program was told: somebody must have caused it.
func (k *talk) blame(side int, err error) {
	e, other := &k.end[side], &k.end[1-side]
	half := k.w.watch.half(side, e.sock)
	silence := k.w.now - half.heard
	switch {
	case k.rude || other.err != nil:
		return
	case errors.Is(err, tcp.ErrTimeout):
		// "R2 [...] SHOULD correspond to at least 100 seconds" RFC 9293 §3.8.3
		least := 100 * second
		if e.keepalive > 0 {
			least = (e.keepalive + 3) * second
		}
		if silence >= least {
			return
		}
	case errors.Is(err, tcp.ErrReset), errors.Is(err, tcp.ErrPipe), errors.Is(err, tcp.ErrRefused):
		// A listener forgets a half-open connection whose SYN-ACKs were not answered, and cookies do not survive
		// everything; then the client, which believes that it is connected, is reset.
		if half.resets > 0 && (other.sock == nil && half.synacks >= 3 || k.w.host[1-side].Counters().TCP.SyncookiesSent > 0) {
			return
		}
		// The other end's keepalive gave up, and its program, which does nothing for a while, was not told yet (found by seed 202781).
		if half.resets > 0 && other.sock != nil && other.keepalive > 0 && k.w.now-k.w.watch.half(1-side, other.sock).heard >= (other.keepalive+3)*second {
			return
		}
	}
	k.w.t.Fatalf("host %d, connection %d was told %q in %v after %d ms of silence, %d resets", side, k.port, err, e.sock.State(), silence/ms, half.resets)
}

// half is the book of a socket's end.
func (v *watcher) half(side int, s *usock.Socket) *half {
	ports := [2]uint16{s.Local().Port(), s.Remote().Port()}
	if side == 1 {
		ports[0], ports[1] = ports[1], ports[0]
	}
	if f := v.flows[ports]; f != nil {
		return &f.half[side]
	}
	return &half{}
}

// moved: the timers of a connection that moved begin anew; of one that was frozen they are late.
func (v *watcher) moved(side int, s *usock.Socket) {
	v.half(side, s).again.anew()
}

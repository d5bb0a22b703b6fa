package tcp

import (
	"errors"

	"github.com/sluice-net/sluice/ustack/pbuf"
)

// sender is the sending half of a connection: the queue of the program's bytes, what of it is on its way, and the rules
// that say when a byte may leave for the first time or again. It is pure: time goes in, segments come out.
//
//	     una              nxt                     end
//	------|----------------|-----------------------|------------> sequence space
//	 acked| sent, unacked  | queued, never sent    | free
//	      |<------- wnd: the peer's window ------>|
//
// errAckNew and errAckOld are an ACK for something never sent and one older than any window ("the ACK value is
// considered acceptable only if it is in the range of ((SND.UNA - MAX.SND.WND) =< SEG.ACK =< SND.NXT)" RFC 5961 §5.2);
// the answer to both is an ACK.
//
// The state machine drives it:
//
//	for seg, ok := s.next(now); ok; seg, ok = s.next(now) {
//		if !out(seg) { break }
//		s.sent(now, &seg)
//	}
type sender struct {
	p   *Params
	mem *SendMem

	iss    Seq
	una    Seq    // SND.UNA
	nxt    Seq    // SND.NXT; never rolled back, so it is also the highest number ever sent
	end    Seq    // after the last queued byte, SYN or FIN
	wnd    uint32 // SND.WND in bytes
	wl1    Seq    // SND.WL1: SEG.SEQ of the last window update
	maxWnd uint32 // the largest window the peer ever offered
	sml    Seq    // end of the last segment below the MSS that was sent (Minshall)

	q     sendQueue
	buf   sendBuffer
	rtt   rttEstimator
	rack  rack
	tlp   tlp
	prr   prr
	undo  undoState
	frto  frto
	sb    scoreboard
	ecn   ecnSender
	probe prober
	pmtu  pmtuState
	pace  pacer
	tmr   sendTimer
	rate  rateSampler

	state    caState
	highSeq  Seq    // SND.NXT when the present congestion state began (RFC 6675 "RecoveryPoint")
	cwnd     uint32 // segments
	cwndCnt  uint32 // segments acknowledged since cwnd last grew in congestion avoidance
	clamp    uint32 // upper limit of cwnd
	ssthresh uint32
	prior    uint32 // cwnd before the present reduction
	cwv      cwv

	cc    congestion // points at one of the next
	reno  reno
	cubic cubic

	mss int // payload bytes of a full segment, after options

	// Set by the state machine, at any time.
	sackOK   bool   // the peer sends SACK
	tsOK     bool   // the peer sends timestamps
	tsOff    uint32 // offset of our timestamp clock
	nagle    nagleMode
	frozen   bool  // no output: the connection is being moved
	orphan   bool  // the program has closed: give up earlier
	urgent   bool  // urgent data is queued: Nagle does not hold it back
	userTime int64 // TCP_USER_TIMEOUT in ns, 0 none
	synTries int   // TCP_SYNCNT or the number of SYN-ACK tries; 0: Params
}

// init makes the sender ready for a connection whose first number is iss. mss is the payload of a full segment. The cwnd
// starts at ten segments (RFC 6928).
func (s *sender) init(now int64, p *Params, mem *SendMem, iss Seq, mss int) {}

// queueSYN puts a SYN (or the SYN of a SYN-ACK) in front of the queue.
func (s *sender) queueSYN(now int64) {}

// queueFIN puts a FIN behind the last byte. Later writes take nothing.
func (s *sender) queueFIN(now int64) {}

// write copies bytes of the program to the queue and returns how many fitted.
func (s *sender) write(now int64, b []byte, flags int) int { return 0 }

// next is the next segment to send, retransmissions first; false when nothing may leave now.
func (s *sender) next(now int64) (txSeg, bool) { return txSeg{}, false }

// sent tells that next's segment went out.
func (s *sender) sent(now int64, t *txSeg) {}

// onAck takes the acknowledgment of an acceptable segment.
func (s *sender) onAck(now int64, in *ackIn) ackOut { return ackOut{} }

// deadline is when onTimer wants to be called, 0 for never.
func (s *sender) deadline() int64 { return 0 }

// onTimer does what is due.
func (s *sender) onTimer(now int64) timerOut { return timerOut{} }

// setMSS changes the payload of a full segment (a negotiated option, ICMP, a route change).
func (s *sender) setMSS(now int64, mss int) {}

// setPeerWindow sets the window that came with the handshake: wnd bytes (scaled already), on the segment numbered seq.
func (s *sender) setPeerWindow(seq Seq, wnd uint32) {
	s.wl1, s.wnd, s.maxWnd = seq, wnd, max(s.maxWnd, wnd)
}

// queued is how much of sequence space is neither acknowledged nor free: what SIOCOUTQ tells.
func (s *sender) queued() int { return s.end.Sub(s.una) }

// unsent is how many bytes have never been sent: what SIOCOUTQNSD tells.
func (s *sender) unsent() int { return s.end.Sub(s.nxt) }

// space is how many bytes write would take now.
func (s *sender) space() int { return 0 }

// writable says whether poll tells POLLOUT: a third of the buffer is free and not too much is unsent.
func (s *sender) writable() bool { return false }

// drop gives all frames back and stops all timers.
func (s *sender) drop() {}

// snapshot is the sender's part of a connection that moves; restore is the reverse, into a fresh sender.
func (s *sender) snapshot() sendState { return sendState{} }

func (s *sender) restore(now int64, st *sendState) error { return nil }

// sendState is the sender's part of a connection that moves.
type sendState struct {
	ISS, Una, Nxt, End Seq
	Wnd, MaxWnd        uint32
	WL1                Seq
	MSS                int
	FINQueued, FINSent bool
	Data               []byte // bytes [Una, End) without SYN and FIN
}

var (
	errAckNew = errors.New("ACK of something never sent")
	errAckOld = errors.New("ACK older than the largest window")
)

// SendMem is what all senders of a stack share: frames and the records that describe them.
type SendMem struct {
	Pool *pbuf.Pool
	free *txRec
}

// NewSendMem makes the memory of senders over pool.
func NewSendMem(pool *pbuf.Pool) *SendMem { return &SendMem{Pool: pool} }

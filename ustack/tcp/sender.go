package tcp

// sender is the sending half of a connection: the queue of the program's bytes, what of it is on its way, and the rules
// that say when a byte may leave for the first time or again. It is pure: time goes in, segments come out.
//
//	     una              nxt                     end
//	------|----------------|-----------------------|------------> sequence space
//	 acked| sent, unacked  | queued, never sent    | free
//	      |<------- wnd: the peer's window ------>|
//
// The state machine drives it:
//
//	for seg, ok := s.next(now); ok; seg, ok = s.next(now) {
//		if !out(seg) { break }
//		s.sent(now, &seg)
//	}
//
// Segments are counted as in Linux: one record of the queue is one segment, and cwnd is a number of segments.
type sender struct {
	p   *Params
	mem *SendMem

	una    Seq    // SND.UNA
	nxt    Seq    // SND.NXT; never rolled back, so it is also the highest number ever sent
	end    Seq    // after the last queued byte, SYN or FIN
	wl1    Seq    // SND.WL1: SEG.SEQ of the last window update
	wnd    uint32 // SND.WND in bytes
	maxWnd uint32 // the largest window the peer ever offered
	sml    Seq    // end of the last segment below the MSS that was sent (Minshall)
	pushed Seq    // end of the last segment marked PSH
	mss    int    // payload bytes of a full segment, after options: see pmtuState

	q     sendQueue
	rtt   rttEstimator
	buf   sendBuffer
	tmr   sendTimer
	rack  rack
	tlp   tlp
	rate  rateSampler
	cwv   cwv
	train train
	frto  frto
	ecn   ecnSender
	nagle nagleState

	chrono chrono

	cwnd     uint32 // segments
	cwndCnt  uint32 // segments acknowledged since cwnd last grew in congestion avoidance
	clamp    uint32 // upper limit of cwnd
	ssthresh uint32
	highSeq  Seq    // SND.NXT when the present congestion state began (RFC 6675 RecoveryPoint)
	tsOff    uint32 // offset of our timestamp clock

	state     caState
	synOut    bool // our SYN is queued and not acknowledged
	synData   bool // data leaves, or left, with it
	synackOut bool // our SYN-ACK, which is not in the queue, is not acknowledged: see openSYNACK
	finQueued bool
	rackNews  bool // something newer was delivered since RACK looked

	cc congestion

	probe prober

	lastAck  int64 // when the last ACK came (of any kind), for zero windows
	lastSent int64 // when new data was sent last

	// Set by the state machine, at any time.
	userTime int64 // TCP_USER_TIMEOUT in ns, 0 none
	sackOK   bool  // the peer sends SACK
	tsOK     bool  // the peer sends timestamps
	active   bool  // our SYN opens the connection: its first retransmissions are not backed off
	frozen   bool  // no output: the connection is being moved
	orphan   bool  // the program has closed: give up earlier
	urgent   bool  // urgent data is queued: Nagle does not hold it back
	synTries uint8 // TCP_SYNCNT; 0: Params
	ownCwnd  bool  // cc sets cwnd by itself: no PRR, no validation

	sb scoreboard

	// What an ordinary segment has nothing to do with, but for the end of the pacer and the beginning of pmtu.
	undo undoState
	prr  prr
	iss  Seq
	pace pacer
	pmtu pmtuState
}

// initialWindow is ten segments: "min (10*MSS, max (2*MSS, 14600))" RFC 6928 §2, which Linux simplifies.
const initialWindow = 10

const infinite = 0x7fffffff

// init makes the sender ready for a connection whose first number is iss. mss is the payload of a full segment.
func (s *sender) init(now int64, p *Params, mem *SendMem, iss Seq, mss int) {
	*s = sender{p: p, mem: mem, iss: iss, una: iss, nxt: iss, end: iss, sml: iss, pushed: iss, wl1: iss,
		mss: min(mss, maxPayload), cwnd: initialWindow, clamp: infinite, ssthresh: infinite}
	s.buf.size = p.Wmem[1]
	s.pmtu.limit = uint16(s.mss)
	s.rtt.init()
	s.rack.init(p)
	s.sb.high = iss
	s.cwv.stamp, s.lastSent, s.lastAck = now, now, now
	if !s.setCongestion(now, p.Congestion) {
		s.setCongestion(now, "")
	}
}

// established is called when our SYN was acknowledged (or never needed).
func (s *sender) established(now int64) {
	s.synOut = false
	s.cwv.stamp, s.lastSent = now, now
	s.pushed, s.cwv.usageSeq = s.nxt, s.nxt
	s.search(now, s.p.MTUProbing > 1)
	s.expandBuffer()
	s.cc.event(s, now, ccStart)
}

// inFlight is RFC 6675's pipe, in segments: what was sent, neither delivered nor lost, plus what was sent again.
func (s *sender) inFlight() uint32 {
	n := int(s.sb.out) - int(s.sb.sacked) - int(s.sb.lost) + int(s.sb.rexmit)
	return uint32(max(n, 0))
}

// wndEnd is the first number the peer's window does not allow.
func (s *sender) wndEnd() Seq { return s.una + Seq(s.wnd) }

// queued is how much of sequence space is neither acknowledged nor free: what SIOCOUTQ tells.
func (s *sender) queued() int { return s.end.Sub(s.una) }

// unsent is how much was never sent: what SIOCOUTQNSD tells.
func (s *sender) unsent() int { return s.end.Sub(s.nxt) }

// finSent says whether the FIN has left.
func (s *sender) finSent() bool { return s.finQueued && s.nxt == s.end }

// setPeerWindow sets the window that came with the handshake: wnd bytes (scaled already), on the segment numbered seq.
func (s *sender) setPeerWindow(seq Seq, wnd uint32) {
	s.wl1, s.wnd, s.maxWnd = seq, wnd, max(s.maxWnd, wnd)
}

// drop gives all frames back and stops all timers.
func (s *sender) drop() {
	s.q.drop(s.mem)
	s.sb = scoreboard{high: s.nxt}
	s.tmr, s.probe = sendTimer{}, prober{tries: s.probe.tries} // TCP_INFO tells of them still
	s.pace.next, s.pace.wake = 0, 0
	s.tlp = tlp{}
	s.una, s.nxt = s.end, s.end
	s.synOut = false
}

// tsNow is our timestamp clock: milliseconds, from an offset that differs by connection. "a timestamp clock frequency
// in the range 1 ms to 1 sec per tick" RFC 7323 §5.4
func (s *sender) tsNow(now int64) uint32 { return tsVal(now, s.tsOff) }

func tsVal(now int64, off uint32) uint32 { return uint32(now/1e6) + off }

// initCwnd is the first window of a connection, or after an idle time.
func (s *sender) initCwnd() uint32 { return min(initialWindow, s.clamp) }

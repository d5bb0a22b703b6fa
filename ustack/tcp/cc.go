package tcp

// congestion is one congestion control algorithm. It decides about cwnd, ssthresh and the pacing rate of the sender it is
// given, in segments; what is lost and when a reduction begins and ends is decided outside of it.
type congestion interface {
	// name is what TCP_CONGESTION tells.
	name() string
	// reduce is the new ssthresh at the start of a congestion episode.
	reduce(s *sender, now int64, why ccEvent) uint32
	// grow is called for each ACK that acknowledged n segments outside of recovery, when cwnd limited the sender.
	grow(s *sender, now int64, n uint32)
	// sample is called for each ACK that delivered something, in every state.
	sample(s *sender, now int64, r ackSample)
	// lost is called for each segment that is deemed lost, before any reduction that follows from it.
	lost(s *sender, now int64, r *txRec)
	// event tells what happened.
	event(s *sender, now int64, ev ccEvent)
}

// newCongestion makes an algorithm by the name TCP_CONGESTION knows it by, "" the default; nil if there is none.
//
// "bbr" is what the running kernel calls so, version 1: a host whose sysctl or whose programs say bbr get what they get from
// the kernel, and share with its flows as these do among themselves. The current draft, version 3, is "bbr3".
func newCongestion(name string) congestion {
	switch name {
	case "cubic", "":
		return &cubic{}
	case "reno":
		return &reno{}
	case "bbr":
		return &bbr{}
	case "bbr3":
		return &bbr3{}
	}
	return nil
}

// KnownCongestion says whether TCP_CONGESTION takes that name.
func KnownCongestion(name string) bool { return newCongestion(name) != nil }

// setCongestion chooses an algorithm by name, as TCP_CONGESTION does; false if there is none of that name.
func (s *sender) setCongestion(now int64, name string) bool {
	cc := newCongestion(name)
	if cc == nil {
		return false
	}
	s.cc = cc
	owned := s.ownCwnd
	switch cc.(type) {
	case *bbr, *bbr3:
		s.ownCwnd = true
	default:
		s.ownCwnd = false
	}
	if owned && !s.ownCwnd && s.inReduction() { // what a model has for ssthresh is no window that was used, and the reduction ends with it
		s.ssthresh = min(s.ssthresh, max(s.prr.cwnd, 2))
	}
	s.usePacer(s.pace.limit)
	if !s.synOut && s.nxt != s.iss {
		s.cc.event(s, now, ccStart)
	}
	return true
}

// ccEvent is an event of a connection's congestion state.
type ccEvent uint8

const (
	ccStart    ccEvent = iota // the connection is established (or restored)
	ccRestart                 // sending begins again after an idle time
	ccLoss                    // fast recovery begins
	ccTimeout                 // the retransmission timer went off
	ccECN                     // the peer told of congestion by ECN
	ccUndo                    // the last reduction was a mistake and is taken back
	ccComplete                // an episode is over
	ccSend                    // data leaves and nothing is in flight
)

// ackSample is what one ACK tells a congestion control.
type ackSample struct {
	rtt       int64  // round-trip time of the newest segment acknowledged, ns; -1 unknown
	acked     uint32 // segments newly acknowledged or SACKed
	lost      uint32 // segments newly marked lost
	delivered uint32 // segments delivered within interval
	interval  int64  // ns
	inFlight  uint32 // segments in flight before this ACK
	prior     uint32 // delivered in all when the newest delivered segment left
	flight    uint32 // RS.tx_in_flight: in flight when the newest delivered segment left, with it; 65,535 at most
	lostSince uint32 // RS.lost: deemed lost since then
	limited   bool   // the sample was limited by the application
	delayed   bool   // the ACK may have been held back by the peer
}

package engine

import (
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// caLoss is TCP_CA_Loss: after a timeout.
const caLoss = 4

// Changed notes in the connection's history what happened.
func (r registry) Changed(now int64, s *usock.Socket, was, is tcp.Condition) {
	note := func(e proto.Event) {
		e.At = now
		r.e.plane.state.Happened(s.Slot, e)
	}
	window := func(kind proto.EventKind, closed bool) {
		e := proto.Event{Kind: kind, From: 1}
		if !closed {
			e.From, e.To = 0, 1
		}
		note(e)
	}
	switch c := s.Conn(); {
	case is.TimedOut(was):
		note(proto.Event{Kind: proto.EventTimeout, N: uint16(c.Timeouts())})
	case is.SentAgain(was):
		note(proto.Event{Kind: proto.EventRetransmit, N: uint16(c.Retransmits() & 0xfff)})
	}
	// Recovery from single losses comes and goes many times a second: the segments sent again tell enough of it.
	if was.Congestion() != is.Congestion() && (was.Congestion() == caLoss || is.Congestion() == caLoss) {
		note(proto.Event{Kind: proto.EventCongestion, From: was.Congestion(), To: is.Congestion()})
	}
	if is.PeerClosed() != was.PeerClosed() {
		window(proto.EventPeerWindow, is.PeerClosed())
	}
	if is.OwnClosed() != was.OwnClosed() {
		window(proto.EventOwnWindow, is.OwnClosed())
	}
	if to := is.State(); to != was.State() {
		if to == tcp.Closed {
			to = r.e.plane.stack.Host().Waits.State(s.Conn().Flow)
		}
		note(proto.Event{Kind: proto.EventState, From: uint8(was.State()), To: uint8(to)})
	}
}

// note adds to a connection's history what the stack does not see.
func (e *Engine) note(now int64, s *usock.Socket, kind proto.EventKind) {
	e.plane.state.Happened(s.Slot, proto.Event{At: now, Kind: kind})
}

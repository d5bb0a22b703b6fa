package tcp

// Condition is what a connection's history is made of, in one small number, so that "nothing happened" is one comparison:
//
//	0 state    4 congestion state    7 the peer's window is closed    8 ours is    9 timeouts in a row, modulo 8    12 segments sent again, modulo 16
//
// Two that differ tell that something happened; Timeouts and Retransmits tell how much. 0 is none's.
type Condition uint16

// Condition is the present one.
func (c *Conn) Condition() Condition {
	s := &c.snd
	v := Condition(c.state)&15 | Condition(s.state)&7<<4 | Condition(s.tmr.retries)&7<<9 | Condition(s.sb.total)<<12
	if c.state.synchronized() {
		if s.wnd == 0 {
			v |= 1 << 7
		}
		if c.rcvWnd == 0 {
			v |= 1 << 8
		}
	}
	return v
}

// State is the TCP state's number.
func (v Condition) State() State { return State(v & 15) }

// Congestion is the congestion state's number: TCP_CA_* of the kernel.
func (v Condition) Congestion() uint8 { return uint8(v>>4) & 7 }

// PeerClosed and OwnClosed tell whether a receive window is closed: no more data is wanted.
func (v Condition) PeerClosed() bool { return v>>7&1 != 0 }
func (v Condition) OwnClosed() bool  { return v>>8&1 != 0 }

// TimedOut tells whether the retransmission timer went off between was and v.
func (v Condition) TimedOut(was Condition) bool { return (v^was)>>9&7 != 0 && v>>9&7 != 0 }

// SentAgain tells whether segments were retransmitted between was and v.
func (v Condition) SentAgain(was Condition) bool { return (v^was)>>12 != 0 }

// Timeouts is how often in a row the retransmission timer went off.
func (c *Conn) Timeouts() int { return int(c.snd.tmr.retries) }

// Retransmits is how many segments were ever sent again.
func (c *Conn) Retransmits() uint32 { return c.snd.sb.total }

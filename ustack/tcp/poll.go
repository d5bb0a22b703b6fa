package tcp

// Bits of poll(2), as on Linux.
const (
	pollIn    = 0x001
	pollPri   = 0x002
	pollOut   = 0x004
	pollErr   = 0x008
	pollHup   = 0x010
	pollRdHup = 0x2000
	pollRdNrm = 0x040
	pollWrNrm = 0x100
)

// Poll is the mask of poll(2), as the kernel's tcp_poll tells it.
func (c *Conn) Poll() uint32 {
	m := uint32(0)
	if c.shut == shutBoth || c.state == Closed {
		m |= pollHup
	}
	if c.shut&shutRecv != 0 {
		m |= pollIn | pollRdNrm | pollRdHup
	}
	if !c.connecting() {
		if c.readable() {
			m |= pollIn | pollRdNrm
		}
		if c.shut&shutSend != 0 || c.snd.writable() {
			m |= pollOut | pollWrNrm
		}
		if c.urg.have == urgValid {
			m |= pollPri
		}
	}
	if c.rare != nil && c.rare.deferred && c.state == SynSent {
		m |= pollOut | pollWrNrm // the write makes the SYN
	}
	if c.err != nil || c.Noted() {
		m |= pollErr
	}
	return m
}

// TakeError is SO_ERROR: the pending error, which is then cleared.
func (c *Conn) TakeError() error {
	err := c.err
	c.err = nil
	return err
}

// KeepError gives the program's next call an error of one that cannot tell it any more.
func (c *Conn) KeepError(err error) { c.err = err }

// Connected says whether the handshake is over, well or not (what connect(2) waits for).
func (c *Conn) Connected() bool { return !c.connecting() }

// Established says whether the peer ever answered.
func (c *Conn) Established() bool { return !c.connecting() && c.rcvNxt != 0 }

// Deferred says whether the SYN waits for the program's first bytes (TCP_FASTOPEN_CONNECT).
func (c *Conn) Deferred() bool { return c.state == SynSent && c.rare != nil && c.rare.deferred }

// OutQ is SIOCOUTQ, OutQNSD is SIOCOUTQNSD, in bytes. Of a connection that failed both tell of what was lost with it, as the kernel's sequence numbers do.
func (c *Conn) OutQ() int {
	if n := c.snd.queued(); n > 0 || c.rare == nil {
		return n
	}
	return c.rare.gone
}

// OutQNSD is what of OutQ was never sent.
func (c *Conn) OutQNSD() int {
	if n := c.snd.unsent(); n > 0 || c.rare == nil {
		return n
	}
	return c.rare.goneUnsent
}

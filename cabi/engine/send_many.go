package engine

// Piece is what sl_send_many sends by one handle: octets that the program was told had been sent.
type Piece struct {
	Handle int32
	Corked bool // they were written between setting TCP_CORK and clearing it
	Octets []byte
	Result int // as SLSend's
}

// SLSendMany is sl_send_many: what a batch of events had a program answer, by one crossing and one turn of the stack.
func (e *Engine) SLSendMany(pieces []Piece) {
	ret := e.enter(Moved, false, func(now int64) int {
		e.overdue(now)
		for i := range pieces {
			p := &pieces[i]
			s, ret := e.conn(p.Handle)
			if s == nil {
				p.Result = ret
				continue
			}
			p.Result = result(s.SendStaged(now, p.Octets, p.Corked))
		}
		e.finish(now)
		for i := range pieces {
			e.showSent(&pieces[i])
		}
		return 0
	})
	if ret != Moved {
		return
	}
	for i := range pieces { // the engine is dead
		pieces[i].Result = Moved
	}
}

// showSent shows the connection of a piece, unless settling has done so as it had a slot already.
func (e *Engine) showSent(p *Piece) {
	s, _ := e.conn(p.Handle)
	if s != nil && (p.Result != len(p.Octets) || e.plain.slots[p.Handle%plains].sock != s) {
		e.update(p.Handle)
		e.grant(p.Handle, s)
	}
}

package machine

import "time"

// waiter is a blocking call of the script that is not over.
type waiter struct {
	attempt  func() (ret int, done bool)
	deadline int64 // then attempt is asked a last time; 0: never
	expired  int   // the result when it still is not done then
	reply    func(ret int)
}

// Sleep lets d pass.
func (m *Machine) Sleep(d time.Duration) { m.advance(m.now + int64(d)) }

// Until lets time pass up to a time, which may be over.
func (m *Machine) Until(to int64) {
	if to > m.now {
		m.advance(to)
	}
}

// advance goes on to a time, by way of every deadline before it.
func (m *Machine) advance(to int64) {
	for {
		next := m.nextEvent()
		if next == 0 || next > to {
			break
		}
		m.step(next)
	}
	m.now = to
	m.publish()
}

// nextEvent is when something happens by itself, 0 for never.
func (m *Machine) nextEvent() int64 {
	d := m.stack.NextDeadline()
	for _, w := range m.waits {
		if w.deadline != 0 && (d == 0 || w.deadline < d) {
			d = w.deadline
		}
	}
	if d != 0 && d < m.now {
		d = m.now
	}
	return d
}

// stuck is how many steps without progress are taken for a bug of the stack; time then goes on by a microsecond.
const stuck = 1000

func (m *Machine) step(at int64) {
	if m.still++; at > m.now {
		m.still = 0
	}
	if m.still > stuck {
		at = m.now + int64(time.Microsecond)
	}
	m.now = at
	m.publish()
	m.turn()
}

// turn has the stack do all that is due now, and the waiting calls look again.
func (m *Machine) turn() {
	for m.stack.Poll(m.now, 256) > 0 {
	}
	for again := true; again; {
		again = false
		for i, w := range m.waits {
			ret, done := w.attempt()
			if !done && w.deadline != 0 && w.deadline <= m.now {
				ret, done = w.expired, true
			}
			if !done {
				continue
			}
			m.waits = append(m.waits[:i], m.waits[i+1:]...)
			w.reply(ret)
			again = true // it may have let another one go on
			break
		}
	}
}

// Input is a raw IP packet for the host.
func (m *Machine) Input(ip []byte) {
	m.nic.arrive(ip)
	m.turn()
}

// Output waits for the next IP packet that leaves the host. ok is false when none ever will.
func (m *Machine) Output() (ip []byte, at int64, ok bool) {
	for len(m.nic.out) == 0 {
		next := m.nextEvent()
		if next == 0 {
			return nil, 0, false
		}
		m.step(next)
	}
	p := m.nic.out[0]
	m.nic.out = m.nic.out[1:]
	return p.data, p.at, true
}

// await runs a call until it is done: at once, in the future by reply when others is true (the caller has another thread that
// lets time pass), else by letting time pass here.
func (m *Machine) await(w *waiter, others bool) {
	ret, done := w.attempt()
	if !done && w.deadline != 0 && w.deadline <= m.now {
		ret, done = w.expired, true
	}
	if done {
		w.reply(ret)
		return
	}
	over := false
	if reply := w.reply; !others {
		w.reply = func(ret int) { over = true; reply(ret) }
	}
	m.waits = append(m.waits, w)
	for !others && !over {
		next := m.nextEvent()
		if next == 0 { // nothing will ever happen: what a program would see is a hang
			m.waits = m.waits[:len(m.waits)-1]
			w.reply(w.expired)
			return
		}
		m.step(next)
	}
}

package proto

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluice-net/sluice/fallback/repair"
)

// A connection stands still while it is moved, and half of a move was JSON. So these messages have a short form, between two who have said in hello
// and welcome that they read it. Its first octet is its number, which is no beginning of JSON; then the envelope's fields in their order, the body's to the end.
// A field more is another number.

// Short is the short form's number.
const Short = 2

// short appends fields to b, or takes them off it: one list of fields is both.
type short struct {
	b     []byte
	reads bool
	bad   bool
}

// shorter is a body that has a short form.
type shorter interface{ short(c *short) }

var errShort = errors.New("short form does not read")

// shortOf is a message's body, and whether it has the short form. None has.
func shortOf(body any) (shorter, bool) {
	switch v := body.(type) {
	case nil:
		return nil, true
	case Handover:
		return &v, true
	case Sockets:
		return &v, true
	case Handed:
		return &v, true
	case Taken:
		return &v, true
	}
	s, ok := body.(shorter)
	return s, ok
}

// EncodeFor is Encode for who reads a form; 0: JSON only.
func EncodeFor(form int, env Envelope, body any) ([]byte, error) {
	s, ok := shortOf(body)
	if form != Short || !ok || len(env.Body) > 0 {
		return Encode(env, body)
	}
	c := &short{b: append(make([]byte, 0, 256), Short)}
	if env.fields(c); s != nil {
		s.short(c)
	}
	if len(c.b) > MaxMessage {
		return nil, fmt.Errorf("%s: %w", env.Op, ErrTooBig)
	}
	return c.b, nil
}

// decode reads an envelope of either form.
func (e *Envelope) decode(b []byte) error {
	if len(b) == 0 || b[0] != Short {
		return json.Unmarshal(b, e)
	}
	c := &short{b: b[1:], reads: true}
	if e.fields(c); c.bad {
		return errShort
	}
	e.Body, e.short = bytes.Clone(c.b), true
	return nil
}

func (e *Envelope) fields(c *short) {
	op := string(e.Op)
	number(c, &e.ID)
	c.text(&op)
	number(c, &e.Until)
	c.text(&e.Error)
	e.Op = Op(op)
}

// into reads a body of the short form.
func (e *Envelope) into(v any) error {
	s, ok := v.(shorter)
	if !ok {
		return fmt.Errorf("%T: %w", v, errShort)
	}
	c := &short{b: e.Body, reads: true}
	if s.short(c); c.bad || len(c.b) > 0 {
		return errShort
	}
	return nil
}

func number[T ~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](c *short, p *T) {
	if !c.reads {
		c.b = binary.AppendVarint(c.b, int64(*p))
		return
	}
	v, n := binary.Varint(c.b)
	if n <= 0 || int64(T(v)) != v {
		c.bad, c.b = true, nil
		return
	}
	*p, c.b = T(v), c.b[n:]
}

func (c *short) bits(all ...*bool) {
	var v uint64
	for i, p := range all {
		if *p {
			v |= 1 << i
		}
	}
	number(c, &v)
	for i, p := range all {
		*p = v&(1<<i) != 0
	}
	c.bad = c.bad || v>>len(all) != 0
}

// octets are as many as are said before them.
func (c *short) octets(b []byte) []byte {
	n := len(b)
	if number(c, &n); !c.reads {
		c.b = append(c.b, b...)
		return b
	}
	if n < 0 || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	b, c.b = c.b[:n], c.b[n:]
	return b
}

func (c *short) text(p *string) {
	if !c.reads {
		c.octets([]byte(*p))
		return
	}
	*p = string(c.octets(nil))
}

func (c *short) addr(p *netip.AddrPort) {
	if !c.reads {
		b, _ := p.MarshalBinary()
		c.octets(b)
		return
	}
	if b := c.octets(nil); !c.bad && p.UnmarshalBinary(b) != nil {
		c.bad = true
	}
}

// list reads or appends how many there are, at most most.
func list[T any](c *short, p *[]T, most int, each func(*T)) {
	n := len(*p)
	number(c, &n)
	if n < 0 || n > most || c.bad {
		c.bad = true
		return
	}
	if c.reads {
		*p = make([]T, n)
	}
	for i := range *p {
		each(&(*p)[i])
	}
}

func (h *Handover) short(c *short) {
	list(c, &h.Conns, MaxHandover, func(q *Queued) { q.short(c) })
	c.bits(&h.Ahead)
}

func (s *Sockets) short(c *short) { list(c, &s.Conns, MaxHandover, func(i *int) { number(c, i) }) }

func (h *Handed) short(c *short) { list(c, &h.Errors, MaxHandover, c.text) }

func (t *Taken) short(c *short) { t.Conn.short(c) }

func (q *Queued) short(c *short) {
	shortState(c, &q.State)
	number(c, &q.RecvOff)
	number(c, &q.RecvLen)
	number(c, &q.SendOff)
	number(c, &q.SendLen)
}

func shortState(c *short, s *repair.State) {
	c.addr(&s.Local)
	c.addr(&s.Remote)
	for _, p := range []*int{&s.State, &s.SRTT, &s.KeepIdle, &s.KeepIntvl, &s.KeepCnt, &s.RcvBuf, &s.SndBuf, &s.TOS, &s.UserTimeout, &s.Linger} {
		number(c, p)
	}
	for _, p := range []*uint32{&s.SndUna, &s.SndNxt, &s.RcvNxt, &s.SndWl1, &s.SndWnd, &s.MaxWindow, &s.RcvWnd, &s.RcvWup, &s.TSVal, &s.TSRecent} {
		number(c, p)
	}
	number(c, &s.MSS)
	number(c, &s.SndWScale)
	number(c, &s.RcvWScale)
	c.bits(&s.WScale, &s.SACK, &s.Timestamps, &s.NoDelay, &s.Cork, &s.KeepAlive, &s.ShutRead, &s.V6Only, &s.Mapped)
	c.text(&s.Congestion)
}

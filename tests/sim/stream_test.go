package sim

import (
	"errors"
	"fmt"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// stream moves a known byte sequence from one socket to another, checking each byte, as level-triggered programs would.
type stream struct {
	w          *world
	from, to   *usock.Socket
	salt       uint64
	total      int
	sent, got  int
	shut, done bool // FIN queued, end of stream seen
	err        error
	chunk      int // largest write and read, default 16 KiB
	random     bool
	buf        []byte
	noShutdown bool
}

// send starts moving total bytes and then a FIN.
func (w *world) send(from, to *usock.Socket, total int) *stream {
	s := &stream{w: w, from: from, to: to, salt: w.rng.Uint64(), total: total, chunk: 16 << 10, buf: make([]byte, 64<<10)}
	w.apps = append(w.apps, s.turn)
	return s
}

// at is the byte of the sequence at a position.
func (s *stream) at(i int) byte {
	x := (uint64(i)>>3 + s.salt) * 0x9e3779b97f4a7c15
	return byte(x >> (8 * (uint(i)&3 + 3)))
}

func (s *stream) size() int {
	if s.random {
		return 1 + s.w.rng.IntN(s.chunk)
	}
	return s.chunk
}

func (s *stream) turn() {
	if s.err == nil {
		s.err = s.write()
	}
	if s.err == nil {
		s.err = s.read()
	}
}

func (s *stream) write() error {
	for s.sent < s.total && s.from.Ready()&usock.PollOut != 0 {
		b := s.buf[:min(s.size(), s.total-s.sent)]
		for i := range b {
			b[i] = s.at(s.sent + i)
		}
		n, err := s.from.Send(s.w.now, [][]byte{b}, 0)
		if errors.Is(err, tcp.ErrAgain) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("send after %d bytes: %w", s.sent, err)
		}
		s.sent += n
	}
	if s.sent == s.total && !s.shut && !s.noShutdown {
		s.shut = true
		return s.from.Shutdown(s.w.now, 1)
	}
	return nil
}

func (s *stream) read() error {
	for !s.done && s.to.Ready()&usock.PollIn != 0 {
		b := s.buf[:s.size()]
		n, _, err := s.to.Recv(s.w.now, [][]byte{b}, 0)
		if errors.Is(err, tcp.ErrAgain) {
			return fmt.Errorf("POLLIN, but recv would block after %d bytes", s.got)
		}
		if err != nil {
			return fmt.Errorf("recv after %d bytes: %w", s.got, err)
		}
		if n == 0 {
			s.done = true
			if s.got != s.total {
				return fmt.Errorf("end of stream after %d of %d bytes", s.got, s.total)
			}
		}
		for i, v := range b[:n] {
			if v != s.at(s.got+i) {
				return fmt.Errorf("byte %d is %#x, was sent as %#x", s.got+i, v, s.at(s.got+i))
			}
		}
		s.got += n
		if s.got > s.total {
			return fmt.Errorf("%d bytes came of %d", s.got, s.total)
		}
	}
	return nil
}

// over tells whether everything arrived, or that it failed.
func (s *stream) over() bool {
	return s.err != nil || s.done || s.noShutdown && s.got == s.total
}

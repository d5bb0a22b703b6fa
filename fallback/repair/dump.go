package repair

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// FromKernel reads a kernel socket's connection and leaves the socket frozen: it takes no packet and sends none of its own accord. Then
// either Discard ends it silently, once another stack goes on with the state, or Thaw lets it go on itself.
// Data that arrived out of order is left out: the peer sends it again. Needs CAP_NET_ADMIN in the socket's network namespace.
func FromKernel(fd int) (State, error) {
	s, err := FromKernelBy(fd, func() error { return nil })
	if err == nil {
		s.ReadOptions(fd)
	}
	return s, err
}

// FromKernelBy is FromKernel with something to do as soon as the socket is frozen, before it is read: to lead its packets elsewhere. The program's options
// are left out, but for its buffers' sizes: whoever has the socket can read them ([State.ReadOptions]) at the same time.
func FromKernelBy(fd int, frozen func() error) (State, error) {
	var s State
	err := s.freeze(fd)
	if err == nil {
		err = frozen()
	}
	if err == nil {
		err = s.read(fd)
	}
	if err != nil {
		_ = s.Thaw(fd)
		return State{}, fmt.Errorf("take a connection from the kernel: %w", err)
	}
	return s, nil
}

// Frozen is FromKernel for a socket's owner, when whoever froze it has died before it could tell what it read: all but to freeze it needs no privilege. A
// socket that is not frozen stays the kernel's, with an error.
func Frozen(fd int) (State, error) {
	var s State
	alive, err := Alive(fd)
	if err == nil && alive {
		_ = unlock(fd) // which comes before
		err = errors.New("it was not frozen")
	}
	if err == nil {
		err = s.addresses(fd)
	}
	if err == nil {
		err = s.read(fd)
	}
	if err != nil {
		return State{}, fmt.Errorf("take a frozen connection from the kernel: %w", err)
	}
	return s, nil
}

// Discard ends a frozen socket without a packet. The descriptor stays open, unconnected.
func Discard(fd int) error {
	return step("discard the kernel's socket", disconnect(fd))
}

// Thaw undoes what FromKernel did.
func (s *State) Thaw(fd int) error {
	var err error
	if s.windowShut {
		var w window
		if w, err = getWindow(fd); err == nil {
			w.sndWnd = s.SndWnd
			err = setWindow(fd, w)
		}
	}
	return errors.Join(err, useQueue(fd, noQueue), unlock(fd), exit(fd, s.windowShut))
}

func (s *State) freeze(fd int) error {
	if err := s.addresses(fd); err != nil {
		return err
	}
	if err := lock(fd); err != nil {
		return err
	}
	return enter(fd)
}

func (s *State) read(fd int) error {
	i, err := getInfo(fd)
	if err != nil {
		return err
	}
	switch i.state {
	case Established, FinWait1, FinWait2, CloseWait, LastAck, Closing:
	default:
		return fmt.Errorf("state %d cannot be moved", i.state)
	}
	s.State, s.SACK, s.Timestamps = i.state, i.sack, i.timestamps
	s.WScale, s.SndWScale, s.RcvWScale, s.SRTT = i.wscale, i.sndWScale, i.rcvWScale, i.srtt
	s.readBuffers(fd)
	return s.readStreams(fd)
}

// readTries bounds how often the queues are read again.
const readTries = 10

// readStreams reads queues and numbers that belong together. A packet that had passed the filter before it was there may still come in
// (a processor of a virtual machine stops for milliseconds): what it brought would be acknowledged, or taken out of the send queue, and known to nobody.
func (s *State) readStreams(fd int) error {
	for range readTries {
		for _, f := range []func(fd int) error{s.readWindow, s.readRecv, s.readNumbers, s.readSend} {
			if err := f(fd); err != nil {
				return err
			}
		}
		if same, err := s.unchanged(fd); same || err != nil {
			return err
		}
	}
	return errors.New("packets come in though the socket is deaf")
}

// unchanged tells whether both queues end and begin where they were read.
func (s *State) unchanged(fd int) (bool, error) {
	una, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return false, step("length of the send queue", err)
	}
	rcvNxt, err := getSeq(fd, recvQueue)
	if err != nil {
		return false, err
	}
	end, err := getSeq(fd, sendQueue)
	return rcvNxt == s.RcvNxt && end-uint32(una) == s.SndUna, err
}

func (s *State) addresses(fd int) error {
	l, err1 := unix.Getsockname(fd)
	r, err2 := unix.Getpeername(fd)
	if err := errors.Join(err1, err2); err != nil {
		return step("addresses", err)
	}
	s.Local, s.Remote = addrPort(l), addrPort(r)
	if s.Mapped = s.Local.Addr().Is4In6(); s.Mapped {
		s.Local = netip.AddrPortFrom(s.Local.Addr().Unmap(), s.Local.Port())
		s.Remote = netip.AddrPortFrom(s.Remote.Addr().Unmap(), s.Remote.Port())
	}
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			ip = ip.WithZone(fmt.Sprint(a.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// readWindow reads the windows, and shuts the peer's: whatever timer expires then, pacing or probing, nothing goes out beyond SND.NXT. Whoever
// continues would discard the peer's acknowledgements of it for ever (RFC 9293 section 3.10.7.4: "If the ACK acks something not yet sent ... send
// an ACK, drop the segment").
func (s *State) readWindow(fd int) error {
	w, err := getWindow(fd)
	if err != nil {
		return err
	}
	if !s.windowShut {
		s.SndWnd = w.sndWnd
	}
	s.SndWl1, s.MaxWindow, s.RcvWnd, s.RcvWup = w.sndWl1, w.maxWindow, w.rcvWnd, w.rcvWup
	w.sndWnd, s.windowShut = 0, true
	return setWindow(fd, w)
}

// readNumbers reads sequence numbers, MSS and timestamp. What is unsent is read before the send queue is chosen: a timer that expires while it is
// has all of it counted as sent.
func (s *State) readNumbers(fd int) error {
	unacked, err1 := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	unsent, err2 := unix.IoctlGetInt(fd, unix.SIOCOUTQNSD)
	if err := errors.Join(err1, err2); err != nil {
		return step("length of the send queue", err)
	}
	end, err := getSeq(fd, sendQueue) // past all that is queued, FIN included
	if err != nil {
		return err
	}
	s.SndUna, s.SndNxt = end-uint32(unacked), end-uint32(unsent)
	mss, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG) // in repair mode: what the peer announced
	if err != nil {
		return step("MSS", err)
	}
	s.MSS = uint16(mss)
	if s.Timestamps {
		ts, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_TIMESTAMP)
		if err != nil {
			return step("timestamp", err)
		}
		s.TSVal = uint32(ts) + 1 // the lowest bit is a flag: round up
	}
	return nil
}

// readRecv copies the receive queue, and where it ends.
func (s *State) readRecv(fd int) (err error) {
	if s.RcvNxt, err = getSeq(fd, recvQueue); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return step("length of the receive queue", err)
	}
	if s.RecvData, err = peek(fd, recvQueue, n, "receive queue"); err != nil {
		return err
	}
	if len(s.RecvData) != n {
		return fmt.Errorf("receive queue: %d bytes of %d", len(s.RecvData), n)
	}
	return nil
}

// readSend copies the send queue. Its first packet may begin with bytes that are acknowledged already: only the end counts.
func (s *State) readSend(fd int) error {
	unacked, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return step("length of the send queue", err)
	}
	n := unacked
	if s.finSent() && !s.finAcked() {
		n--
	}
	if n == 0 {
		return nil
	}
	b, err := peek(fd, sendQueue, n+(128<<10), "send queue")
	if err != nil {
		return err
	}
	if n < 0 || len(b) < n {
		return fmt.Errorf("send queue: %d bytes of %d", len(b), n)
	}
	s.SendData = b[len(b)-n:]
	return nil
}

// peek reads up to n bytes of a queue and leaves them there.
func peek(fd, queue, n int, what string) ([]byte, error) {
	if n <= 0 {
		return nil, nil
	}
	if err := useQueue(fd, queue); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	for {
		got, _, err := unix.Recvfrom(fd, b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, nil
		case err != nil:
			return nil, step("read "+what, err)
		}
		return b[:got], nil
	}
}

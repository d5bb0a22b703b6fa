package repair

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// NewBlank makes a socket for a connection to come, in the calling thread's network namespace: deaf and in repair mode. It does not depend on the
// connection, so it can be there before that stands still. Needs CAP_NET_ADMIN; the descriptor is blocking and close-on-exec.
func NewBlank(six bool) (fd int, err error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if err = lock(fd); err == nil {
		err = enter(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Six tells whether the connection needs a blank of AF_INET6.
func (s *State) Six() bool { return s.Mapped || !s.Local.Addr().Unmap().Is4() }

// ToKernel makes a kernel socket that goes on where s stops, in the calling thread's network namespace, and returns its descriptor
// (blocking, close-on-exec). It needs CAP_NET_ADMIN and CAP_NET_RAW there. From its beginning to its end the peer's packets are dropped.
// Until it returns, the other stack must send nothing for the connection.
func ToKernel(s State, via *Injector) (fd int, err error) {
	if err := s.check(); err != nil {
		return -1, s.unmoved(err)
	}
	if fd, err = NewBlank(s.Six()); err != nil {
		return -1, s.unmoved(err)
	}
	if err := s.Fill(fd, via); err != nil {
		return -1, err
	}
	if err := s.Live(fd); err != nil {
		return -1, err
	}
	return fd, nil
}

func (s *State) unmoved(err error) error {
	return fmt.Errorf("move %v - %v to the kernel: %w", s.Local, s.Remote, err)
}

// Fill brings a blank to where s stops; on an error it is closed. The calling thread need not be in its namespace. The socket is frozen still: whoever
// has it may give it up without a word to the peer, by [Discard] or by closing it.
func (s *State) Fill(fd int, via *Injector) error {
	s.via = via
	err := s.check()
	if err == nil {
		err = s.restore(fd)
	}
	return s.orEnd(fd, err)
}

// orEnd closes the socket if there was an error: in repair mode it goes without a word to the peer.
func (s *State) orEnd(fd int, err error) error {
	if err == nil {
		return nil
	}
	_ = enter(fd)
	unix.Close(fd)
	return s.unmoved(err)
}

func (s *State) restore(fd int) error {
	family := unix.AF_INET
	if s.Six() {
		family = unix.AF_INET6
	}
	for _, f := range []func(fd, family int) error{s.connect, s.negotiated, s.seed, s.queues, s.fins} {
		if err := f(fd, family); err != nil {
			return err
		}
	}
	return nil
}

// maxUserMSS is the largest that TCP_MAXSEG takes (MAX_TCP_WINDOW of net/tcp.h).
const maxUserMSS = 32767

// connect brings the socket to ESTABLISHED at the right sequence numbers without a packet.
func (s *State) connect(fd, family int) error {
	if family == unix.AF_INET6 && s.V6Only && !s.Mapped {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	// Without it the kernel goes by an MSS of 536 until the next path MTU event: it is worked out when connecting.
	if err := setTCP(fd, unix.TCP_MAXSEG, int(min(s.MSS, maxUserMSS)), "set MSS"); err != nil {
		return err
	}
	snd, rcv := s.SndUna, s.RcvNxt-uint32(len(s.RecvData))
	if s.finAcked() || s.seeds() {
		snd--
	}
	if s.finReceived() {
		rcv--
	}
	if err := step("bind", unix.Bind(fd, sockaddr(s.Local, family))); err != nil {
		return err
	}
	if err := setSeq(fd, sendQueue, snd); err != nil {
		return err
	}
	if err := setSeq(fd, recvQueue, rcv); err != nil {
		return err
	}
	if err := step("connect", unix.Connect(fd, sockaddr(s.Remote, family))); err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 0)
	return nil
}

// negotiated restores what the handshake agreed on.
func (s *State) negotiated(fd, _ int) error {
	if err := setOptions(fd, s); err != nil {
		return err
	}
	if s.Timestamps {
		if err := setTCP(fd, unix.TCP_TIMESTAMP, int(int32(s.clock())), "set timestamp"); err != nil {
			return err
		}
	}
	if s.Congestion != "" {
		_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, s.Congestion)
	}
	return nil
}

// seeds: without a sample the kernel's first timeout is 3 s (RFC 6298 section 5.7), far too long for a connection in full swing.
func (s *State) seeds() bool {
	return s.Timestamps && s.SRTT > 0 && s.SRTT < 60_000_000 && !s.finAcked()
}

// seed gives the kernel that sample: the octet before SND.UNA, which the peer has acknowledged long ago, is queued and acknowledged again,
// with a timestamp as old as the round-trip time. The peer's timestamp becomes known on the way.
func (s *State) seed(fd, _ int) error {
	if !s.seeds() {
		return nil
	}
	if err := fill(fd, sendQueue, []byte{0}, "send queue"); err != nil {
		return err
	}
	rcv := s.RcvNxt - uint32(len(s.RecvData))
	if s.finReceived() {
		rcv--
	}
	if err := s.inject(flagACK, rcv, s.SndUna); err != nil {
		return err
	}
	return wait(func() (bool, error) {
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return n == 0, err
	}, "the seed is not acknowledged")
}

// clock is the timestamp that the kernel begins with. The lowest bit means "microseconds" there; rounding up never steps back.
func (s *State) clock() uint32 { return (s.TSVal + 1) &^ 1 }

// queues fills the receive queue and the part of the send queue that was sent.
func (s *State) queues(fd, _ int) error {
	// Room for all of it; the program's own limits come back in Live.
	s.rcvbuf = grow(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, len(s.RecvData))
	s.sndbuf = grow(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, len(s.SendData))
	if err := fill(fd, recvQueue, s.RecvData, "receive queue"); err != nil {
		return err
	}
	sent, err := s.sent()
	if err != nil {
		return err
	}
	if err := fill(fd, sendQueue, s.SendData[:sent], "send queue"); err != nil {
		return err
	}
	return setWindow(fd, s.window())
}

// window is made to fit what the kernel checks: nothing lies beyond RCV.NXT, and no window was larger than the largest.
func (s *State) window() window {
	w := window{s.SndWl1, s.SndWnd, max(s.MaxWindow, s.SndWnd), s.RcvWnd, s.RcvWup}
	nxt := s.RcvNxt
	if s.finReceived() {
		nxt-- // it is replayed later
	}
	if int32(w.rcvWup-nxt) > 0 {
		w.rcvWup = nxt
	}
	if int32(w.sndWl1-nxt) > 0 {
		w.sndWl1 = nxt
	}
	return w
}

// fins brings the socket from ESTABLISHED to its state, in the order that the two FINs came. If ours still waits behind unsent data it
// is sent later, by Live; a simultaneous close then ends as LAST_ACK, without a TIME-WAIT of ours.
func (s *State) fins(fd, _ int) error {
	switch {
	case s.State == CloseWait || s.finReceived() && !s.finIsOut():
		return s.replay(fd, flagACK|flagFIN, CloseWait)
	case s.State == LastAck:
		if err := s.replay(fd, flagACK|flagFIN, CloseWait); err != nil {
			return err
		}
		return s.queueFIN(fd, LastAck)
	case s.finIsOut() || s.finAcked():
		if err := s.queueFIN(fd, FinWait1); err != nil {
			return err
		}
	}
	switch s.State {
	case FinWait2:
		return s.replay(fd, flagACK, FinWait2)
	case Closing:
		return s.replay(fd, flagACK|flagFIN, Closing)
	}
	return nil
}

// queueFIN puts our FIN in the send queue, as sent.
func (s *State) queueFIN(fd, state int) error {
	if err := step("queue FIN", unix.Shutdown(fd, unix.SHUT_WR)); err != nil {
		return err
	}
	return waitState(fd, state)
}

// replay sends the peer's last segment again, to our own socket.
func (s *State) replay(fd int, flags byte, state int) error {
	seq := s.RcvNxt
	if s.finReceived() {
		seq--
	}
	if err := s.inject(flags, seq, s.SndUna); err != nil {
		return err
	}
	return waitState(fd, state)
}

func sockaddr(a netip.AddrPort, family int) unix.Sockaddr {
	ip := a.Addr().Unmap()
	if family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16(), ZoneId: zone(a.Addr())}
}

// zone is a link-local address's interface, by number or name.
func zone(ip netip.Addr) uint32 {
	if n, err := strconv.Atoi(ip.Zone()); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(ip.Zone()); err == nil {
		return uint32(i.Index)
	}
	return 0
}

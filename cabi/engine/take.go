package engine

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Takeover is sl_takeover: the connection of kernel socket kfd goes on here. A handle, or KernelFD|fd if the kernel had given it up already
// and had to take it back as fd.
func (e *Engine) Takeover(now int64, kfd int) (int, error) {
	switch {
	case e.room.away:
		return 0, errors.New(noRoom)
	case e.stopped:
		return 0, fmt.Errorf("the engine has stopped: %w", unix.EOPNOTSUPP)
	case e.sh.Handles.Load() >= MaxHandles-quarantine:
		return 0, fmt.Errorf("no handle free: %w", unix.ENFILE)
	}
	local, remote, six, err := ends(kfd)
	if err != nil {
		return 0, err
	}
	f, err := e.steerTaken(now, plain(local), plain(remote), kfd)
	if err != nil {
		return 0, err
	}
	if err := e.roomFor(kfd); err != nil {
		e.dropFlow(f)
		return 0, err
	}
	var opts []setting
	q, err := e.fetch(now, kfd, func() { opts = changed(kfd, six) })
	if err != nil && e.orphaned(nanotime()) {
		q, err = frozenState(kfd) // the broker may have died in the middle of it
		opts = changed(kfd, six)
	}
	if err != nil {
		e.buried(local, remote)
		e.dropFlow(f)
		return 0, err
	}
	s, err := e.settleHere(now, opts, q, six)
	e.littered(len(q.RecvData) + len(q.SendData))
	if err != nil {
		e.buried(local, remote)
		e.dropFlow(f)
		return e.giveBack(now, q, err)
	}
	e.leaveFrozen(now, kfd)
	h := s.Tag
	if e.tab.objects[h].out = f; f != nil {
		s.Ref = f
	}
	e.came(nanotime(), s.Conn().Flow)
	e.count(proto.CountTakenOver)
	e.record(s)
	return int(h), nil
}

// steerTaken has the packets of a connection led here that come by no listener's entry; nil: they do. What the kernel has they are led to by nobody
// yet: the XDP program asks its table first.
func (e *Engine) steerTaken(now int64, local, remote netip.AddrPort, kfd int) (f *flow, err error) {
	if !e.listensAt(local) || e.onVLAN(local, remote) {
		f = &flow{local: local, remote: remote, kfd: -1}
		err = e.steer(now, f, kfd)
	}
	if err == nil && e.plane == nil {
		err = fmt.Errorf("no queue is leased: %w", unix.EOPNOTSUPP)
	}
	return f, err
}

// onVLAN: a listener's entry may be for other frames than this connection's, so it needs its own.
func (e *Engine) onVLAN(local, remote netip.AddrPort) bool {
	hop, err := e.routes.Route(remote.Addr(), local.Addr())
	return err == nil && hop.VLAN != 0
}

// buried: what came here while the connection was asked for is no stranger's.
func (e *Engine) buried(local, remote netip.AddrPort) {
	e.plane.stack.Bury(nanotime(), tcp.Flow{Local: plain(local), Remote: plain(remote)})
}

// roomFor tells whether there are frames for what is queued: once it is frozen it is late. Half of what is free stays free.
func (e *Engine) roomFor(kfd int) error {
	in, err1 := unix.IoctlGetInt(kfd, unix.SIOCINQ)
	out, err2 := unix.IoctlGetInt(kfd, unix.SIOCOUTQ)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("length of the queues: %w", err)
	}
	const least = 1000 // octets in a frame, at least
	if need := in/least + out/least; need > e.plane.stack.Free()/2 {
		return fmt.Errorf("%d octets queued, too many for the memory that is free: %w", in+out, unix.ENOMEM)
	}
	return nil
}

// ends are a connected socket's addresses; six says that it is of AF_INET6.
func ends(kfd int) (local, remote netip.AddrPort, six bool, err error) {
	l, err1 := unix.Getsockname(kfd)
	r, err2 := unix.Getpeername(kfd)
	if err := errors.Join(err1, err2); err != nil {
		return local, remote, false, fmt.Errorf("addresses of the socket: %w", err)
	}
	local, six = addrPort(l)
	remote, _ = addrPort(r)
	return local, remote, six, nil
}

// listensAt tells whether packets to an address come here without a word to the broker.
func (e *Engine) listensAt(at netip.AddrPort) bool {
	for _, l := range e.listens {
		own := plain(l.local)
		if own.Port() == at.Port() && (own.Addr() == at.Addr() ||
			own.Addr().IsUnspecified() && (l.six || at.Addr().Is4())) {
			return true
		}
	}
	return false
}

// fetch has the broker freeze the kernel's socket and tell what it is, and does something else meanwhile.
func (e *Engine) fetch(now int64, kfd int, meanwhile func()) (*repair.State, error) {
	var t proto.Taken
	if e.link.client != nil {
		e.link.client.Meanwhile = meanwhile
	}
	fds, err := e.call(now, proto.OpTakeover, nil, []int{kfd}, &t)
	if err != nil {
		return nil, err
	}
	st := t.Conn.State
	if len(fds) == 0 && t.Conn.RecvLen == 0 && t.Conn.SendLen == 0 {
		return &st, nil
	}
	if len(fds) == 1 {
		f := os.NewFile(uintptr(fds[0]), "queues")
		defer f.Close()
		st.RecvData, err = section(f, t.Conn.RecvOff, t.Conn.RecvLen)
		if err == nil {
			st.SendData, err = section(f, t.Conn.SendOff, t.Conn.SendLen)
		}
		return &st, err
	}
	closeAll(fds)
	return nil, fmt.Errorf("the broker sent %d descriptors", len(fds))
}

func section(f *os.File, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(io.NewSectionReader(f, off, int64(n)), b)
	return b, err
}

// settleHere makes the connection the stack's, under a handle.
func (e *Engine) settleHere(now int64, opts []setting, st *repair.State, six bool) (*usock.Socket, error) {
	s, err := e.plane.stack.Adopt(now, snapshotOf(st), six)
	if err != nil {
		return nil, fmt.Errorf("take %v - %v over: %w", st.Local, st.Remote, err)
	}
	copyMoving(now, opts, s, st)
	e.note(now, s, proto.EventTakenOver)
	e.bind(s)
	return s, nil
}

// giveBack returns what was taken to the kernel.
func (e *Engine) giveBack(now int64, st *repair.State, why error) (int, error) {
	p := &parcel{fd: -1, low: e.boot.FDMin}
	defer p.close()
	q := proto.Queued{State: *st}
	if err := errors.Join(p.write(&q.RecvOff, &q.RecvLen, st.RecvData), p.write(&q.SendOff, &q.SendLen, st.SendData)); err != nil {
		return 0, errors.Join(why, err)
	}
	p.conns = []proto.Queued{q}
	fds, errs, err := e.toKernel(now, p)
	if err != nil || fds[0] < 0 {
		return 0, fmt.Errorf("%w; and the kernel does not take it back: %w", why, errors.Join(append(errs, err)...))
	}
	e.debug("%v", why)
	return KernelFD | fds[0], nil
}

// snapshotOf is the reverse of stateOf.
func snapshotOf(st *repair.State) *tcp.Snapshot {
	sent := min(int(st.SndNxt-st.SndUna), len(st.SendData))
	n := &tcp.Snapshot{
		Flow: tcp.Flow{Local: plain(st.Local), Remote: plain(st.Remote)}, State: tcp.State(st.State),
		SndUna: tcp.Seq(st.SndUna), SndNxt: tcp.Seq(st.SndNxt), RcvNxt: tcp.Seq(st.RcvNxt),
		Unacked: st.SendData[:sent:sent], Unsent: st.SendData[sent:], Unread: st.RecvData,
		MSS: st.MSS, SndScale: st.SndWScale, RcvScale: st.RcvWScale, Scaling: st.WScale, SACK: st.SACK,
		Timestamps: st.Timestamps, TSVal: st.TSVal, TSRecent: st.TSRecent, SRTT: int64(st.SRTT) * 1000,
		SndWnd: st.SndWnd, MaxWnd: st.MaxWindow, RcvWnd: st.RcvWnd, SndWL1: tcp.Seq(st.SndWl1), RcvWup: tcp.Seq(st.RcvWup),
		Options: tcp.DefaultOptions(), Ifindex: -1, Queue: -1,
	}
	switch n.State {
	case tcp.CloseWait, tcp.LastAck, tcp.Closing:
		n.FINReceived = true
	}
	switch n.State {
	case tcp.FinWait1, tcp.LastAck, tcp.Closing:
		n.FINQueued, n.FINSent = true, int(st.SndNxt-st.SndUna) == len(st.SendData)+1
	case tcp.FinWait2:
		n.FINSent = true
	}
	return n
}

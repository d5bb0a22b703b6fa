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

// taking is a connection on its way here.
type taking struct {
	kfd           int
	local, remote netip.AddrPort
	six           bool
	f             *flow  // nil: by a listener's entry
	id            uint64 // of the request to the broker
	err           error
}

// Takeover is sl_takeover: the connections of kernel sockets go on here. done is told of each its handle, or KernelFD|fd if the kernel had given it up already
// and had to take it back as fd. The broker is asked for all of them before the first is waited for, so that neither of us waits for the other.
func (e *Engine) Takeover(now int64, kfds []int, done func(i, h int, err error)) {
	defer e.hush()()
	all, frames := make([]taking, len(kfds)), 0
	for i, kfd := range kfds {
		all[i].kfd = kfd
		all[i].err = e.askFor(now, &all[i], len(kfds), &frames)
	}
	for i := range all {
		h, err := e.takeIn(now, &all[i])
		done(i, h, err)
	}
}

// askFor has the broker begin with one of n. frames is what those before it need.
func (e *Engine) askFor(now int64, t *taking, n int, frames *int) (err error) {
	switch {
	case e.room.away:
		return errors.New(noRoom)
	case e.stopped:
		return fmt.Errorf("the engine has stopped: %w", unix.EOPNOTSUPP)
	case int(e.sh.Handles.Load())+n > MaxHandles-quarantine:
		return fmt.Errorf("no handle free: %w", unix.ENFILE)
	}
	if t.local, t.remote, t.six, err = ends(t.kfd); err != nil {
		return err
	}
	if t.f, err = e.steerTaken(now, plain(t.local), plain(t.remote), t.kfd); err != nil {
		return err
	}
	if err = e.roomFor(t.kfd, frames); err == nil {
		t.id, err = e.begin(now, proto.OpTakeover, []int{t.kfd})
	}
	if err != nil {
		e.dropFlow(t.f)
	}
	return err
}

// takeIn makes it ours as soon as the broker has it.
func (e *Engine) takeIn(now int64, t *taking) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	opts := changed(t.kfd, t.six)
	q, err := e.fetch(now, t.id)
	if err != nil && e.orphaned(nanotime()) {
		q, err = frozenState(t.kfd) // the broker may have died in the middle of it
	}
	if err != nil {
		e.buried(t.local, t.remote)
		e.dropFlow(t.f)
		return 0, err
	}
	s, err := e.settleHere(now, opts, q, t.six)
	e.littered(len(q.RecvData) + len(q.SendData))
	if err != nil {
		e.buried(t.local, t.remote)
		e.dropFlow(t.f)
		return e.giveBack(now, t.kfd, q, err)
	}
	e.leaveFrozen(now, t.kfd)
	h := s.Tag
	if e.tab.objects[h].out = t.f; t.f != nil {
		s.Ref = t.f
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

// roomFor tells whether there are frames for what is queued, beside those that others have been promised: once it is frozen it is late. Half of what is
// free stays free.
func (e *Engine) roomFor(kfd int, promised *int) error {
	in, err1 := unix.IoctlGetInt(kfd, unix.SIOCINQ)
	out, err2 := unix.IoctlGetInt(kfd, unix.SIOCOUTQ)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("length of the queues: %w", err)
	}
	const least = 1000 // octets in a frame, at least
	need := *promised + in/least + out/least
	if need > e.plane.stack.Free()/2 {
		return fmt.Errorf("%d octets queued, too many for the memory that is free: %w", in+out, unix.ENOMEM)
	}
	*promised = need
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

// fetch waits for what the broker, which was asked to freeze a socket of the kernel's, says that it is.
func (e *Engine) fetch(now int64, id uint64) (*repair.State, error) {
	var t proto.Taken
	fds, err := e.await(now, id, proto.OpTakeover, &t)
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

// giveBack returns what was taken from kernel socket kfd to the kernel.
func (e *Engine) giveBack(now int64, kfd int, st *repair.State, why error) (int, error) {
	st.ReadOptions(kfd)
	p := &parcel{fd: -1, low: e.boot.FDMin}
	defer p.close()
	q := proto.Queued{State: *st}
	if err := errors.Join(p.write(&q.RecvOff, &q.RecvLen, st.RecvData), p.write(&q.SendOff, &q.SendLen, st.SendData)); err != nil {
		return 0, errors.Join(why, err)
	}
	p.conns = []proto.Queued{q}
	fds, errs, err := e.toKernel(now, p, func(int, int) {})
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

// Package interop runs our stack against the kernel's over veth and AF_XDP: real time, real packets, no program.
package interop

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/efvi/fault"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/ustack"
	"github.com/sluice-net/sluice/ustack/pbuf"
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

const port = 8080

// rig is our stack in the server's namespace, and the kernel in the client's.
type rig struct {
	t     testing.TB
	bed   *testbed.Bed
	self  *testbed.Node
	peer  *testbed.Node
	vlan  uint16 // of the routes
	prog  *steer.Program
	stack *ustack.Stack
	fds   []unix.PollFd
	start time.Time
	mtu   int
}

// newRig makes a rig whose stack loses that share of the packets, in both directions.
func newRig(t testing.TB, cfg testbed.Config, loss float64) *rig {
	bed := bedtest.New(t, cfg)
	r := newEnd(t, bed, bed.Server, bed.Client, max(cfg.Queues, 1), 0, loss)
	require.NoError(t, r.prog.SetListener(steer.Untagged, netip.Addr{}, port, 0))
	return r
}

// newEnd is our stack on one node's queues, which are links of a VLAN unless that is 0.
func newEnd(t testing.TB, bed *testbed.Bed, n, peer *testbed.Node, queues int, vlan uint16, loss float64) *rig {
	r := &rig{t: t, bed: bed, self: n, peer: peer, start: time.Now()}
	dir := bedtest.PinDir(t)
	prog, err := steer.Attach(n.FD(), n.Ifindex, dir)
	require.NoError(t, err)
	r.prog = prog
	t.Cleanup(func() {
		if err := prog.Close(); err != nil {
			t.Error(err)
		}
	})
	file, err := afxdp.NewMemory("sluice-test", 4096)
	require.NoError(t, err)
	defer file.Close()
	mem, err := afxdp.MapMemory(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = afxdp.UnmapMemory(mem) })
	r.stack = ustack.New(ustack.Config{Pool: pbuf.New(mem.Bytes, efvi.FrameSize), Rand: rand.Uint64, Routes: routes{r}})
	require.NoError(t, netns.Do(n.FD(), func() error {
		dev, err := afxdp.Probe(n.Ifindex)
		for queue := 0; err == nil && queue < queues; queue++ {
			var q *afxdp.Queue
			if q, err = afxdp.OpenQueue(n.Ifindex, queue, file, afxdp.RingConfig{Parts: prog.Joined()}); err != nil {
				break
			}
			fd, err := unix.FcntlInt(uintptr(q.FD()), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			info := dev.Info(queue, q.Layout(), prog.Mode() == steer.Native)
			info.VLAN = vlan
			vi, err := afxdp.Map(fd, q.Layout(), mem, info)
			require.NoError(t, err)
			require.NoError(t, prog.SetQueue(queue, q.FD()))
			require.NoError(t, q.Close())
			t.Cleanup(func() { _ = vi.Close() })
			r.mtu = vi.Info().MTU
			r.stack.AddVI(spoil(vi, mem, loss))
			r.fds = append(r.fds, unix.PollFd{Fd: int32(vi.FD()), Events: unix.POLLIN})
		}
		return err
	}))
	return r
}

func spoil(vi efvi.VI, mem efvi.Memory, loss float64) efvi.VI {
	if loss == 0 {
		return vi
	}
	vi = fault.New(vi, mem, fault.Config{Seed: 1, Drop: loss, Dup: loss, Reorder: loss})
	return &lossy{VI: vi, rng: rand.New(rand.NewPCG(1, 2)), drop: loss}
}

func (r *rig) now() int64 { return int64(time.Since(r.start)) + 1 }

// routes is a Router that knows only the veth's other end.
type routes struct{ r *rig }

func (x routes) Route(dst, src netip.Addr) (ustack.Hop, error) {
	n := x.r.self
	h := ustack.Hop{Ifindex: n.Ifindex, MTU: x.r.mtu, NextHop: dst, MAC: x.r.peer.MAC, Resolved: true, Src: n.IPv4}
	if x.r.vlan != 0 {
		h.VLAN, h.Below, h.Ifindex = x.r.vlan, n.Ifindex, n.Ifindex+1000
	}
	if dst.Is6() {
		h.Src = n.IPv6
	}
	return h, nil
}
func (x routes) Resolve(int, netip.Addr) {}
func (x routes) Generation() uint64      { return 1 }

// until polls the stack until cond holds, sleeping like a program would when there is nothing to do.
func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; {
		n := r.stack.Poll(r.now(), 256)
		if cond() {
			return
		}
		if n > 0 {
			continue
		}
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for: %s", what)
		}
		wait := 20 * time.Millisecond
		if d := r.stack.NextDeadline(); d != 0 {
			wait = min(wait, time.Duration(max(d-r.now(), 0)))
		}
		ts := unix.NsecToTimespec(int64(wait))
		_, _ = unix.Ppoll(r.fds, &ts, nil)
	}
}

// await runs f beside the stack, in the client's namespace, and polls until it is over.
func (r *rig) await(what string, f func() error, turn func()) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() { done <- r.bed.Client.Do(f) }()
	var err error
	over := false
	r.until(what, func() bool {
		turn()
		select {
		case err = <-done:
			over = true
		default:
		}
		return over
	})
	require.NoError(r.t, err, what)
}

// serve is a level-triggered program for one connection: it hands what it reads to sink and writes what source has.
type serve struct {
	s      *usock.Socket
	got    int
	source []byte
	shut   bool
	eof    bool
	buf    []byte
	sum    io.Writer
}

func (v *serve) turn(now int64) error {
	for !v.eof && v.s.Ready()&usock.PollIn != 0 {
		n, _, err := v.s.Recv(now, [][]byte{v.buf}, 0)
		if errors.Is(err, tcp.ErrAgain) {
			break
		}
		if err != nil {
			return err
		}
		v.eof = n == 0
		v.got += n
		_, _ = v.sum.Write(v.buf[:n])
	}
	for len(v.source) > 0 && v.s.Ready()&usock.PollOut != 0 {
		n, err := v.s.Send(now, [][]byte{v.source[:min(len(v.source), 128<<10)]}, 0)
		if errors.Is(err, tcp.ErrAgain) {
			break
		}
		if err != nil {
			return err
		}
		v.source = v.source[n:]
	}
	if len(v.source) == 0 && !v.shut {
		v.shut = true
		return v.s.Shutdown(now, 1)
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{1})
	_, _ = c.Read(b)
	return b
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

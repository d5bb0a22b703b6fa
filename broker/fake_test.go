package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/ethtool"
	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
	"github.com/sluice-net/sluice/afxdp/hidden"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

const patience = 15 * time.Second

// fakeKernel keeps what the broker did, and does what a test says.
type fakeKernel struct {
	mu        sync.Mutex
	devices   []netDevice
	progs     map[int]*fakeProgram
	open      map[string]int // "ifindex/queue" -> sockets open on it
	openErr   map[string]error
	opens     int           // successful ones
	closing   time.Duration // how long a queue is occupied by a socket that was closed
	spurs     int           // made so far
	spurErr   error
	spurTries int
	unbound   bool             // as a kernel before 6.4: queues are bound when their program has mapped them
	bindErr   map[string]error // of that
	attach    error
	syns      []steer.Tuple
	looped    []string // packets
	attached  int
	has       bool         // every connection that is asked for
	nic       *fakenic.NIC // what answers ethtool requests, for Hide
	lo, hi    int
	look      chan struct{} // if there is one, a look at the listeners is told to looks, and waits for this
	looks     chan struct{}
}

func newFakeKernel(queues int) *fakeKernel {
	return &fakeKernel{
		devices: []netDevice{{carrier: carrier{Name: "eth0", Up: true, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}}, Ifindex: 7, MTU: 1500, Queues: queues, Driver: "veth", Kind: "veth", Ethernet: true}},
		lo:      32768, hi: 60999,
		progs: map[int]*fakeProgram{}, open: map[string]int{}, openErr: map[string]error{}, bindErr: map[string]error{},
	}
}

func (f *fakeKernel) Devices(int) ([]netDevice, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]netDevice(nil), f.devices...), nil
}

func (f *fakeKernel) Attach(_, ifindex int, _ string) (program, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attach != nil {
		return nil, f.attach
	}
	f.attached++
	p := &fakeProgram{k: f, listeners: map[entry]bool{}, ways: map[entry]steer.Way{}, flows: map[steer.ConnectEntry]bool{}, flowWays: map[steer.Tuple]steer.Way{}, queues: map[int]int{}, quiet: map[int]bool{}}
	f.progs[ifindex] = p
	return p, nil
}

func (f *fakeKernel) Adopt(_, ifindex int, _ string) (program, error) { return f.progs[ifindex], nil }

func (f *fakeKernel) OpenQueue(_, ifindex, queue int, mem *os.File, _ afxdp.RingConfig) (xsk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := fmt.Sprintf("%d/%d", ifindex, queue)
	if err := f.openErr[name]; err != nil {
		return nil, err
	}
	if f.open[name] > 0 && !f.unbound {
		return nil, unix.EBUSY
	}
	fd, err := unix.MemfdCreate("xsk", unix.MFD_CLOEXEC)
	f.open[name]++
	f.opens++
	return &fakeXSK{k: f, name: name, fd: fd, unbound: f.unbound}, err
}

func (f *fakeKernel) OpenSpur(_, ifindex, _ int, _ *os.File, _ afxdp.RingConfig) (xsk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spurTries++
	if err := f.spurErr; err != nil {
		return nil, err
	}
	f.spurs++
	name := fmt.Sprintf("%d/spur%d", ifindex, f.spurs)
	fd, err := unix.MemfdCreate("xsk", unix.MFD_CLOEXEC)
	f.open[name]++
	return &fakeSpur{fakeXSK{k: f, name: name, fd: fd}, f.spurs}, err
}

type fakeSpur struct {
	fakeXSK
	number int
}

func (x *fakeSpur) Entrance() (ns, ifindex int) { return x.number, x.number }

func (f *fakeKernel) BindsLate() bool { return f.unbound }

func (f *fakeKernel) PortRange(int) (lo, hi int, err error) { return f.lo, f.hi, nil }

func (f *fakeKernel) Listening(int, netip.AddrPort) bool { return true }

func (f *fakeKernel) Has(int, steer.Tuple, []int) (has bool, err error) {
	f.set(func() { has = f.has })
	return has, nil
}

func (f *fakeKernel) SendSYN(_ int, t []steer.Tuple) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syns = append(f.syns, t...)
	return nil
}

func (f *fakeKernel) Loop(_ int, packet []byte, to netip.Addr) error {
	f.set(func() { f.looped = append(f.looped, string(packet)) })
	return nil
}

func (f *fakeKernel) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

func (f *fakeKernel) Hide(_ int, device string, count int, id hidden.Identity, path string) (hider, error) {
	if f.nic == nil {
		return nil, hidden.ErrUnsupported
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	h, err := hidden.Open(ethtool.NIC{Name: device, Call: f.nic}, count, id, path)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Listeners is the kernel's, since the tests' listeners are real.
func (f *fakeKernel) Listeners(ns int) (map[uint64]bool, error) {
	if f.look != nil {
		f.looks <- struct{}{}
		<-f.look
	}
	return kernel{}.Listeners(ns)
}

type fakeXSK struct {
	k    *fakeKernel
	name string
	fd   int

	unbound bool
}

func (x *fakeXSK) FD() int              { return x.fd }
func (x *fakeXSK) Layout() afxdp.Layout { return afxdp.Layout{Unbound: x.unbound} }
func (x *fakeXSK) Bind() (err error) {
	x.k.set(func() { err = x.k.bindErr[x.name] })
	x.unbound = err != nil
	return err
}
func (x *fakeXSK) Close() error {
	gone := func() { x.k.set(func() { x.k.open[x.name]-- }) }
	if x.k.closing > 0 {
		time.AfterFunc(x.k.closing, gone)
	} else {
		gone()
	}
	return unix.Close(x.fd)
}

type fakeProgram struct {
	k         *fakeKernel
	listeners map[entry]bool
	ways      map[entry]steer.Way // of listeners
	share     steer.Flags         // of the listener that was set last
	flows     map[steer.ConnectEntry]bool
	flowWays  map[steer.Tuple]steer.Way
	queues    map[int]int
	quiet     map[int]bool
	closed    bool
	mac       [6]byte // the last that was set
	err       error
}

func (p *fakeProgram) do(f func()) error { p.k.set(f); return p.err }

func (p *fakeProgram) Mode() steer.Mode { return steer.Native }
func (p *fakeProgram) Joined() bool     { return false }
func (p *fakeProgram) SetListener(on steer.Link, ip netip.Addr, port uint16, f steer.Flags) error {
	return p.do(func() {
		p.listeners[entry{on.VLAN, key{ip, port}}], p.share = true, f&0xff00>>8
		p.ways[entry{on.VLAN, key{ip, port}}] = on.Way
	})
}
func (p *fakeProgram) DelListener(on steer.Link, ip netip.Addr, port uint16) error {
	return p.do(func() { delete(p.listeners, entry{on.VLAN, key{ip, port}}) })
}
func (p *fakeProgram) SetPorts(on steer.Link, ip netip.Addr, ports []uint16) error {
	for _, port := range ports {
		_ = p.SetListener(on, ip, port, steer.ListensNot)
	}
	return p.err
}
func (p *fakeProgram) DelPorts(on steer.Link, ip netip.Addr, ports []uint16) error {
	if p.isClosed() {
		panic("the maps of a program that is closed") // as the kernel's do
	}
	for _, port := range ports {
		_ = p.DelListener(on, ip, port)
	}
	return p.err
}
func (p *fakeProgram) SetConnect(on steer.Link, t steer.Tuple) error {
	return p.do(func() {
		p.flows[steer.ConnectEntry{On: steer.Link{VLAN: on.VLAN}, Tuple: t}], p.flowWays[t] = true, on.Way
	})
}
func (p *fakeProgram) SetTaken(on steer.Link, t steer.Tuple) error { return p.SetConnect(on, t) }
func (p *fakeProgram) DelConnect(on steer.Link, t steer.Tuple) error {
	return p.do(func() { delete(p.flows, steer.ConnectEntry{On: steer.Link{VLAN: on.VLAN}, Tuple: t}) })
}
func (p *fakeProgram) SetQueue(q, fd int) error      { return p.do(func() { p.queues[q] = fd }) }
func (p *fakeProgram) HasSpurs() bool                { return true }
func (p *fakeProgram) SetMAC(mac [6]byte) error      { return p.do(func() { p.mac = mac }) }
func (p *fakeProgram) SetSpur(q, _, _, fd int) error { return p.SetQueue(q, fd) }
func (p *fakeProgram) EndsAt(q, _ int) (bool, error) { return p.queues[q] != 0, nil }
func (p *fakeProgram) Leads(queues []int) (out []bool, err error) {
	for _, q := range queues {
		out = append(out, p.queues[q] != 0)
	}
	return out, p.err
}
func (p *fakeProgram) DelQueue(q int) error          { return p.do(func() { delete(p.queues, q) }) }
func (p *fakeProgram) SetQuiet(q int, on bool) error { return p.do(func() { p.quiet[q] = on }) }
func (p *fakeProgram) Counters() (map[string]uint64, error) {
	return nil, nil
}
func (p *fakeProgram) Close() error   { return p.do(func() { p.closed = true }) }
func (p *fakeProgram) Release() error { return nil }
func (p *fakeProgram) isClosed() (is bool) {
	p.k.set(func() { is = p.closed })
	return is
}

// fakeHost is a broker over a fake kernel.
type fakeHost struct {
	t *testing.T
	b *Broker
	k *fakeKernel
}

type testLog struct{ t *testing.T }

func (l testLog) Errorf(f string, a ...any) { l.t.Logf("E "+f, a...) }
func (l testLog) Infof(f string, a ...any)  { l.t.Logf("I "+f, a...) }
func (l testLog) Debugf(f string, a ...any) { l.t.Logf("D "+f, a...) }

func newFakeHost(t *testing.T, queues int, change func(*Config)) *fakeHost {
	t.Helper()
	k := newFakeKernel(queues)
	cfg := Config{Socket: filepath.Join(t.TempDir(), "b.sock"), PinDir: "none", Frames: minFrames, Log: testLog{t}, YieldTimeout: patience, backend: k}
	if change != nil {
		change(&cfg)
	}
	b, err := Start(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return &fakeHost{t, b, k}
}

// engine is a program's engine as far as the broker sees it.
type engine struct {
	t   *testing.T
	c   *proto.Client
	w   proto.Welcome
	st  *proto.StateMap
	vis map[proto.QueueRef]bool
}

func (h *fakeHost) engine() *engine { return newEngine(h.t, h.b.cfg.Socket) }

func newEngine(t *testing.T, socket string) *engine {
	return newEngineWith(t, socket, proto.Hello{Program: "test"})
}

func newEngineWith(t *testing.T, socket string, hello proto.Hello) *engine {
	t.Helper()
	door, err := proto.Dial(socket)
	require.NoError(t, err)
	defer unix.Close(door)
	c, w, err := proto.Open(door, hello, patience)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &engine{t: t, c: c, w: w, vis: map[proto.QueueRef]bool{}}
}

// listen shows a listener and returns the grant.
func (e *engine) listen(l net.Listener, devices ...string) proto.Grant {
	e.t.Helper()
	g, err := e.tryListen(l, devices...)
	require.NoError(e.t, err)
	return g
}

func (e *engine) tryListen(l net.Listener, devices ...string) (g proto.Grant, err error) {
	f, err := l.(*net.TCPListener).File()
	require.NoError(e.t, err)
	defer f.Close()
	fds, err := e.c.Call(proto.OpListen, proto.Listen{Devices: devices}, []int{int(f.Fd())}, &g, patience)
	if err == nil {
		e.took(g, fds)
	}
	return g, err
}

func (e *engine) took(g proto.Grant, fds []int) {
	if g.Memory {
		var err error
		e.st, err = proto.MapState(fds[1])
		require.NoError(e.t, err)
		e.t.Cleanup(func() { e.st.Close() })
		require.Len(e.t, fds, 2+len(g.VIs))
	}
	for _, vi := range g.VIs {
		e.vis[proto.QueueRef{Ifindex: vi.Ifindex, Queue: vi.Queue}] = true
	}
	closeAll(fds)
}

// ready says so for everything it has.
func (e *engine) ready(g proto.Grant) {
	e.t.Helper()
	r := proto.Ready{Cookie: g.Cookie}
	for ref := range e.vis {
		r.Queues = append(r.Queues, ref)
	}
	_, err := e.c.Call(proto.OpReady, r, nil, nil, patience)
	require.NoError(e.t, err)
}

// event waits for the next event, which must be op; that queues were closed is said in between.
func (e *engine) event(op proto.Op, into any) *proto.Packet {
	e.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		p, err := e.c.Next()
		require.NoError(e.t, err)
		if p == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if p.Op == proto.OpClosed && op != proto.OpClosed {
			continue
		}
		require.Equal(e.t, op, p.Op, string(p.Body))
		require.NoError(e.t, p.Into(into))
		return p
	}
	e.t.Fatalf("no %s came", op)
	return nil
}

// yield gives up what is asked for.
func (e *engine) yield() proto.Yield {
	e.t.Helper()
	var y proto.Yield
	p := e.event(proto.OpYield, &y)
	for _, q := range y.Queues {
		require.True(e.t, e.vis[q], "asked for a queue it has")
		delete(e.vis, q)
	}
	require.NoError(e.t, e.c.Answer(p, "", nil))
	return y
}

// gets waits for queues by event, and says ready for them.
func (e *engine) gets(n int) {
	e.t.Helper()
	for range n {
		var v proto.VIs
		p := e.event(proto.OpVIs, &v)
		require.Len(e.t, p.FDs, len(v.VIs))
		p.CloseFDs()
		for _, vi := range v.VIs {
			e.vis[proto.QueueRef{Ifindex: vi.Ifindex, Queue: vi.Queue}] = true
		}
	}
	e.ready(proto.Grant{})
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// program returns what the fake program of eth0 has, under its lock.
func (h *fakeHost) see(f func(p *fakeProgram) bool) bool {
	h.k.mu.Lock()
	defer h.k.mu.Unlock()
	p := h.k.progs[7]
	return p != nil && f(p)
}

func kernelListener(t *testing.T, addr string) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func portOf(l net.Listener) key {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return key{a.Addr().Unmap(), a.Port()}
}

package broker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
)

// The tests' own binary plays the programs: it obeys lines on its standard input, and answers each with one.

const roleVar = "BROKER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "program":
		play()
		return
	case "given":
		m := ManagerOf()
		fmt.Println(m.Socket, m.Kept, left())
		return
	case "broker":
		b, err := Start(context.Background(), Config{Socket: os.Args[1], PinDir: os.Args[2], NoPins: os.Args[2] == "", Step: dieAt(os.Args[3:]), Manager: ManagerOf()})
		fmt.Println(err)
		if err == nil {
			stop := make(chan os.Signal, 1)
			signal.Notify(stop, unix.SIGTERM)
			<-stop
			b.Close()
		}
		return
	}
	os.Exit(m.Run())
}

// program is such a process.
type role struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *bufio.Writer
	out *bufio.Scanner
}

// startRole starts this binary in a namespace as uid.
func startRole(t *testing.T, n *testbed.Node, part string, uid uint32, args ...string) *role {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{os.Args[0]}, args...)
	cmd.Env = append(os.Environ(), roleVar+"="+part)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Pdeathsig: unix.SIGKILL}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if n != nil {
		require.NoError(t, n.Start(cmd))
	} else {
		require.NoError(t, cmd.Start())
	}
	p := &role{t: t, cmd: cmd, in: bufio.NewWriter(in), out: bufio.NewScanner(out)}
	t.Cleanup(p.kill)
	return p
}

func (p *role) kill() {
	_ = p.cmd.Process.Kill()
	_, _ = p.cmd.Process.Wait()
}

func (p *role) line() string {
	p.t.Helper()
	require.True(p.t, p.out.Scan(), "the program ended")
	return p.out.Text()
}

// do sends a command and returns the answer, which must not be an error.
func (p *role) do(words ...string) string {
	p.t.Helper()
	fmt.Fprintln(p.in, strings.Join(words, " "))
	require.NoError(p.t, p.in.Flush())
	s := p.line()
	require.False(p.t, strings.HasPrefix(s, "error"), "%v: %s", words, s)
	return s
}

// player is the program's side: what an engine keeps.
type player struct {
	version int // of the protocol; 0: this one
	door    int
	c       *proto.Client
	lis     int
	conn    int
	grant   proto.Grant
	umem    *os.File
	state   int
	table   *proto.StateMap
	xsks    []int
	vis     []*afxdp.VI
	mem     efvi.Memory
	packets int
	bound   int // of vis, after they were mapped
	taken   proto.Queued
	stowed  []*stowed
	second  *proto.Client // a process beside, with the same listener
	slot    int32
	sleeper *exec.Cmd
}

func play() {
	p := &player{lis: -1, conn: -1}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		w := strings.Fields(in.Text())
		s, err := p.obey(w[0], w[1:])
		if err != nil {
			s = "error " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		fmt.Println(s)
	}
}

func (p *player) obey(what string, args []string) (string, error) {
	switch what {
	case "door": // a door can be opened before privileges are dropped
		var err error
		p.door, err = proto.Dial(args[0])
		return "ok", err
	case "version":
		v, err := strconv.Atoi(args[0])
		p.version = v
		return "ok", err
	case "listen":
		return p.kernelListen(args[0], 0)
	case "listenon":
		port, err := strconv.Atoi(args[0])
		if err != nil {
			return "", err
		}
		return p.kernelListen("0.0.0.0", port)
	case "forsake": // close the listener, and tell nobody
		return "", unix.Close(p.lis)
	case "lease":
		return p.lease()
	case "gets":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return "", err
		}
		return p.gets(n)
	case "bound":
		return fmt.Sprint(p.bound), nil
	case "received":
		return fmt.Sprint(p.receive()), nil
	case "accept":
		fd, _, err := unix.Accept4(p.lis, unix.SOCK_CLOEXEC)
		p.conn = fd
		return "ok", err
	case "takeover":
		return p.takeover()
	case "handover":
		return p.handover()
	case "orphan":
		return p.orphan()
	case "accepted":
		return p.acceptedEvent()
	case "read":
		b := make([]byte, 100)
		n, err := unix.Read(p.conn, b)
		return string(b[:max(n, 0)]), err
	case "write":
		_, err := unix.Write(p.conn, []byte(args[0]))
		return "ok", err
	case "sleeper":
		return p.holdChannel()
	case "stray":
		return p.stray(args[0], args[1])
	case "adopt":
		return p.adopt(len(args) == 0)
	case "stow", "moveall", "talk", "pass", "besides", "got", "forge":
		return p.obeyAtDeath(what, args)
	case "caps":
		b, err := os.ReadFile("/proc/self/status")
		_, rest, _ := strings.Cut(string(b), "CapEff:\t")
		return rest[:16], err
	}
	return "", fmt.Errorf("what is %q?", what)
}

func (p *player) kernelListen(ip string, port int) (string, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	if ip == "::" {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	}
	var err error
	if p.lis, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return "", err
	}
	if err := unix.SetsockoptInt(p.lis, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return "", err
	}
	if err := unix.Bind(p.lis, sa); err != nil {
		return "", err
	}
	if err := unix.Listen(p.lis, 16); err != nil {
		return "", err
	}
	local, _, err := boundTo(p.lis)
	return fmt.Sprint(local.Port()), err
}

func (p *player) open() error {
	var err error
	p.c, _, err = proto.Open(p.door, proto.Hello{Version: p.version, Program: "player", Frames: 1024}, patience)
	return err
}

func (p *player) lease() (string, error) {
	if err := p.open(); err != nil {
		return "", err
	}
	fds, err := p.c.Call(proto.OpListen, proto.Listen{}, []int{p.lis}, &p.grant, patience)
	if err != nil {
		return "", err
	}
	p.umem, p.state, p.xsks = os.NewFile(uintptr(fds[0]), "umem"), fds[1], fds[2:]
	if p.mem, err = afxdp.MapMemory(p.umem); err != nil {
		return "", err
	}
	if p.table, err = proto.MapState(p.state); err != nil {
		return "", err
	}
	r := proto.Ready{Cookie: p.grant.Cookie}
	for i, v := range p.grant.VIs {
		if err := p.mapVI(i, v); err != nil {
			return "", err
		}
		r.Queues = append(r.Queues, proto.QueueRef{Ifindex: v.Ifindex, Queue: v.Queue})
	}
	_, err = p.c.Call(proto.OpReady, r, nil, nil, patience)
	return fmt.Sprint(len(p.vis)), err
}

// gets waits for that many queues, and says ready for them.
func (p *player) gets(n int) (string, error) {
	var r proto.Ready
	end := time.Now().Add(patience)
	for len(r.Queues) < n {
		e, err := p.c.Next()
		if err != nil {
			return "", err
		}
		if e == nil {
			if time.Now().After(end) {
				return "", fmt.Errorf("%d queues came", len(r.Queues))
			}
			unix.Poll([]unix.PollFd{{Fd: int32(p.c.FD()), Events: unix.POLLIN}}, 100)
			continue
		}
		var vis proto.VIs
		if e.Op != proto.OpVIs {
			return "", fmt.Errorf("%s came", e.Op)
		}
		if err := e.Into(&vis); err != nil {
			return "", err
		}
		p.xsks = append(p.xsks, e.FDs...)
		for _, v := range vis.VIs {
			p.grant.VIs = append(p.grant.VIs, v)
			if err := p.mapVI(len(p.grant.VIs)-1, v); err != nil {
				return "", err
			}
			r.Queues = append(r.Queues, proto.QueueRef{Ifindex: v.Ifindex, Queue: v.Queue})
		}
		e.FDs = nil
	}
	_, err := p.c.Call(proto.OpReady, r, nil, nil, patience)
	return fmt.Sprint(len(p.vis)), err
}

func (p *player) mapVI(i int, v proto.VI) error {
	var layout afxdp.Layout
	var info efvi.Info
	if err := json.Unmarshal(v.Layout, &layout); err != nil {
		return err
	}
	if err := json.Unmarshal(v.Info, &info); err != nil {
		return err
	}
	fd, err := unix.FcntlInt(uintptr(p.xsks[i]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	vi, err := afxdp.Map(fd, layout, p.mem, info)
	if err != nil {
		return err
	}
	if layout.Unbound {
		var b proto.Bound
		if _, err := p.c.Call(proto.OpBind, proto.QueueRef{Ifindex: v.Ifindex, Queue: v.Queue}, nil, &b, patience); err != nil {
			return err
		}
		layout = afxdp.Layout{}
		if err := json.Unmarshal(b.Layout, &layout); err != nil {
			return err
		}
		vi.Bound(layout)
		p.bound++
	}
	p.vis = append(p.vis, vi)
	var frames []uint32
	for f := range uint32(64) {
		frames = append(frames, uint32(i)*64+f)
	}
	vi.Post(frames)
	return nil
}

func (p *player) receive() int {
	ev := make([]efvi.Event, 64)
	for _, vi := range p.vis {
		p.packets += vi.Poll(ev)
	}
	return p.packets
}

// takeover makes the accepted kernel connection the engine's.
func (p *player) takeover() (string, error) {
	var t proto.Taken
	fds, err := p.c.Call(proto.OpTakeover, nil, []int{p.conn}, &t, patience)
	if err != nil {
		return "", err
	}
	unix.Close(p.conn)
	p.conn = -1
	if len(fds) > 0 {
		p.conn = fds[0] // the memfd
	}
	p.taken = t.Conn
	p.slot = p.table.Add(&proto.Entry{State: 1, Local: t.Conn.State.Local, Remote: t.Conn.State.Remote})
	return "ok", nil
}

// queues is the memfd, if there is one.
func (p *player) queues() []int {
	if p.conn < 0 {
		return nil
	}
	return []int{p.conn}
}

func (p *player) handover() (string, error) {
	var h proto.Handed
	fds, err := p.c.Call(proto.OpHandover, proto.Handover{Conns: []proto.Queued{p.taken}}, p.queues(), &h, patience)
	if err != nil {
		return "", err
	}
	if h.Errors[0] != "" {
		return "", fmt.Errorf("%s", h.Errors[0])
	}
	p.table.Remove(p.slot)
	unix.Close(p.conn)
	p.conn = fds[0]
	return "ok", nil
}

func (p *player) orphan() (string, error) {
	_, err := p.c.Call(proto.OpOrphan, proto.Orphan{Cookie: p.grant.Cookie, Conn: p.taken}, p.queues(), nil, patience)
	p.table.Remove(p.slot)
	return "ok", err
}

func (p *player) acceptedEvent() (string, error) {
	for {
		e, err := p.c.Next()
		if err != nil {
			return "", err
		}
		if e != nil && e.Op == proto.OpAccepted {
			p.conn = e.FDs[0]
			return "ok", p.c.Answer(e, "", nil)
		}
		if e == nil {
			unix.Poll([]unix.PollFd{{Fd: int32(p.c.FD()), Events: unix.POLLIN}}, 100)
		}
	}
}

// holdChannel starts a process that keeps a copy of the channel, as a child between fork and exec does.
func (p *player) holdChannel() (string, error) {
	fd, err := unix.FcntlInt(uintptr(p.c.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	p.sleeper = exec.Command("sleep", "600")
	p.sleeper.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "channel")}
	if err := p.sleeper.Start(); err != nil {
		return "", err
	}
	return fmt.Sprint(p.sleeper.Process.Pid), nil
}

// stray asks whose a flow is.
func (p *player) stray(local, remote string) (string, error) {
	var o proto.Owned
	_, err := p.c.Call(proto.OpStray, proto.Stray{Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote)}, nil, &o, patience)
	return fmt.Sprint("owned ", o.Owned, ", free ", o.Free), err
}

// adopt reconnects to a new broker with all it has.
func (p *player) adopt(listens bool) (string, error) {
	if err := p.open(); err != nil {
		return "", err
	}
	a := proto.Adopt{Lease: p.grant.Lease, VIs: p.grant.VIs}
	fds := append([]int{int(p.umem.Fd()), p.state}, p.xsks...)
	if listens {
		a.Listeners, fds = 1, append(fds, p.lis)
	}
	var g proto.Grant
	_, err := p.c.Call(proto.OpAdopt, a, fds, &g, patience)
	return fmt.Sprint(g.Lease == p.grant.Lease, " ", len(g.VIs), " ", strings.Join(g.Notes, ";")), err
}

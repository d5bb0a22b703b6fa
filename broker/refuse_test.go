package broker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/fallback/repair"
)

// A program may send anything. Each is refused with a text that says why, and the next request is served.

func TestWhatIsNoListener(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	for why, make := range map[string]func() (int, error){
		"no socket":       func() (int, error) { return unix.MemfdCreate("x", 0) },
		"is not TCP":      func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0) },
		"does not listen": func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) },
		"another network": foreignListener,
	} {
		fd, err := make()
		require.NoError(t, err)
		_, err = e.c.Call(proto.OpListen, proto.Listen{}, []int{fd}, nil, patience)
		unix.Close(fd)
		require.ErrorContains(t, err, why)
	}
	_, err := e.c.Call(proto.OpListen, proto.Listen{}, nil, nil, patience)
	require.ErrorContains(t, err, "needs one listener")
	require.Len(t, e.listen(kernelListener(t, "127.0.0.1:0")).VIs, 2)
}

// foreignListener listens in another network namespace. The thread returns: were it the main one, /proc would show its namespace as ours.
func foreignListener() (fd int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return -1, err
	}
	defer home.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, err
	}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
		err = unix.Listen(fd, 1)
	}
	return fd, errors.Join(err, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
}

func TestWhatIsNoRequest(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	for _, c := range []struct {
		op   proto.Op
		body any
		why  string
	}{
		{"nonsense", nil, "unknown request"},
		{proto.OpListen, "a string", "listen: needs"},
		{proto.OpListen, proto.Listen{Devices: make([]string, 100)}, "at most"},
		{proto.OpUnlisten, proto.Unlisten{Cookie: 1}, "no such listener"},
		{proto.OpBind, "a string", "bind:"},
		{proto.OpBind, proto.QueueRef{Ifindex: 7}, "does not wait for that"},
		{proto.OpConnect, proto.Connect{}, "needs one bound socket"},
		{proto.OpDisconnect, proto.Disconnect{}, "no such flow"},
		{proto.OpHandover, proto.Handover{}, "needs 1 to"},
		{proto.OpHandover, proto.Handover{Conns: make([]proto.Queued, 100)}, "needs 1 to"},
		{proto.OpTakeover, nil, "needs one socket"},
		{proto.OpOrphan, proto.Orphan{Cookie: 4}, "not of a listener"},
		{proto.OpOrphan, proto.Orphan{Cookie: 4, Kernel: true}, "needs one socket"},
		{proto.OpWant, proto.Want{Pid: 1}, "is no client here"},
		{proto.OpStray, proto.Stray{}, "both ends"},
		{proto.OpSYN, proto.SYN{}, "is no SYN"},
		{proto.OpSYN, proto.SYN{Packet: synIPv4(anyTuple)}, "no listener"},
		{proto.OpAdopt, proto.Adopt{VIs: make([]proto.VI, 3)}, "do not fit"},
	} {
		_, err := e.c.Call(c.op, c.body, nil, nil, patience)
		require.ErrorContains(t, err, c.why, c.op)
	}
	_, err := e.c.Call(proto.OpStatus, nil, nil, nil, patience)
	require.NoError(t, err)
}

func TestNobodyHandsOverWhatIsNotTheirs(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	l := kernelListener(t, "127.0.0.1:0")
	e.listen(l)
	k := portOf(l)
	other := addrPort(key{k.ip, k.port + 1})
	var r proto.Handed
	_, err := e.c.Call(proto.OpHandover, proto.Handover{Conns: []proto.Queued{
		{State: repair.State{Local: other, Remote: other}},
		{State: repair.State{Local: addrPort(k)}, RecvLen: -1},
		{State: repair.State{Local: addrPort(k)}, SendLen: 1 << 30},
		{State: repair.State{Local: addrPort(k)}, SendLen: 10},
		{State: repair.State{Local: addrPort(k)}},
	}}, nil, &r, patience)
	require.NoError(t, err)
	for i, why := range []string{"no port of this program", "queue of -1 bytes", "queue of", "queue of 10 bytes", "state 0"} {
		require.Contains(t, r.Errors[i], why)
	}
}

func TestChannelsThatMisbehave(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	door, err := proto.Dial(h.b.cfg.Socket)
	require.NoError(t, err)
	defer unix.Close(door)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	open, _ := proto.Encode(proto.Envelope{Op: proto.OpOpen}, nil)
	require.NoError(t, proto.Write(door, open, []int{pair[1]}), "no SEQPACKET")
	require.NoError(t, proto.Write(door, open, []int{0, 1, 2}), "too many descriptors")
	require.NoError(t, proto.Write(door, open, nil))
	unix.Close(pair[1])

	pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	require.NoError(t, proto.Write(door, open, []int{pair[1]}))
	unix.Close(pair[1])
	status, _ := proto.Encode(proto.Envelope{ID: 1, Op: proto.OpStatus}, nil)
	require.NoError(t, proto.Write(pair[0], status, nil), "status before hello")
	until(t, "the channel to be closed", func() bool {
		_, err := proto.Read(pair[0], make([]byte, proto.MaxMessage))
		return err == proto.ErrClosed
	})
	require.NoError(t, unix.Sendto(door, []byte("{rubbish"), 0, nil))
	until(t, "the door to be closed", func() bool { return unix.Sendto(door, open, unix.MSG_NOSIGNAL, nil) != nil })
	h.engine()
}

func TestAVersionThatNobodySpeaks(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	door, err := proto.Dial(h.b.cfg.Socket)
	require.NoError(t, err)
	defer unix.Close(door)
	for _, v := range []int{-1, proto.Version + 1} { // 0 asks for the default
		_, _, err := proto.Open(door, proto.Hello{Version: v}, patience)
		require.ErrorContains(t, err, fmt.Sprintf("version %d of the protocol, the broker", v))
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	open, _ := proto.Encode(proto.Envelope{Op: proto.OpOpen}, nil)
	require.NoError(t, proto.Write(door, open, []int{pair[1]}))
	unix.Close(pair[1])
	hello, _ := proto.Encode(proto.Envelope{ID: 1, Op: proto.OpHello}, proto.Hello{Version: 99})
	require.NoError(t, proto.Write(pair[0], hello, nil))
	until(t, "the answer", func() bool {
		p, err := proto.Read(pair[0], make([]byte, proto.MaxMessage))
		if err != nil {
			return false
		}
		require.Contains(t, p.Error, "version 99")
		return true
	})
}

// Programs of the version before are served, and spoken to in it.
func TestTheVersionBefore(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	door, err := proto.Dial(h.b.cfg.Socket)
	require.NoError(t, err)
	defer unix.Close(door)
	c, w, err := proto.Open(door, proto.Hello{Version: proto.Oldest}, patience)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Equal(t, proto.Oldest, w.Version)
	e := &engine{t: t, c: c, w: w, vis: map[proto.QueueRef]bool{}}
	require.Len(t, e.listen(kernelListener(t, "127.0.0.1:0")).VIs, 2)

	// One that can't bind queues is not given any to bind.
	late := newFakeHost(t, 2, func(c *Config) { c.backend.(*fakeKernel).unbound = true })
	door, err = proto.Dial(late.b.cfg.Socket)
	require.NoError(t, err)
	defer unix.Close(door)
	_, _, err = proto.Open(door, proto.Hello{Version: proto.BindVersion - 1}, patience)
	require.ErrorContains(t, err, "queues are bound by version 2")
}

func TestOneSocketOneBroker(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	_, err := Start(t.Context(), Config{Socket: h.b.cfg.Socket, backend: newFakeKernel(1)})
	require.ErrorContains(t, err, "another broker answers")
}

func TestOneThousandClients(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	var lim syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim))
	n := min(1000, int(lim.Cur)/8)
	door, err := proto.Dial(h.b.cfg.Socket)
	require.NoError(t, err)
	defer unix.Close(door)
	var all []*proto.Client
	for i := range n {
		c, _, err := proto.Open(door, proto.Hello{Program: fmt.Sprint(i)}, patience)
		require.NoError(t, err)
		all = append(all, c)
	}
	h.engine().listen(kernelListener(t, "127.0.0.1:0"))
	for _, c := range all {
		c.Close()
	}
	until(t, "all to be gone", func() bool {
		h.b.mu.Lock()
		defer h.b.mu.Unlock()
		return len(h.b.clients) == 1
	})
}

// The effective user is each thread's own in the kernel: only this thread stops being root, and returns to it.
func TestRootOnly(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const same, nobody = ^uintptr(0), 65534
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, nobody, same)
		require.Zero(t, errno)
		defer unix.RawSyscall(unix.SYS_SETRESUID, same, 0, same)
	}
	_, err := Start(t.Context(), Config{Socket: dir + "/s"})
	require.ErrorContains(t, err, "needs root")
}

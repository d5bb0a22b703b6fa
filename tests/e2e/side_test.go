package e2e

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/tests/testrig"
)

// caller is a program that only connects, to a server of the other host's kernel: it sends, reads back and compares, and tells how often by a dot
// each time. It opens a further connection at every tenth, and keeps the last three.
type caller struct {
	port int
	proc *testrig.Proc
}

const callerText = `
import os, socket, sys, time
kept, turn = [], 0
while True:
    if turn % 10 == 0:
        kept = kept[-2:] + [socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)]
    for s in kept:
        data = os.urandom(3000)
        s.sendall(data)
        back = b""
        while len(back) < len(data):
            piece = s.recv(65536)
            assert piece, "end of stream"
            back += piece
        assert back == data
    turn += 1
    print(".", end="", flush=True)
    time.sleep(0.02)
`

// call starts a caller and waits until it has an accelerated connection.
func (r *rig) call(t *testing.T, uid int) *caller {
	t.Helper()
	c := &caller{port: bedtest.Echo(t, r.Client)}
	c.proc = testrig.Start(t, r.Server, append(r.Env(), "SLUICE_LISTEN=none", fmt.Sprintf("SLUICE_CONNECT=*:%d", c.port)), "setpriv", "--reuid", fmt.Sprint(uid), "--clear-groups",
		testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-c", callerText, r.Client.IPv4.String(), fmt.Sprint(c.port))
	// For some seconds after a broker's death the next one gives nobody what an owner may still come for.
	testrig.Until(t, "its connections to be accelerated", func() bool { return c.queues(r) > 0 && len(c.kernels(r)) == 0 })
	c.goesOn(t, r)
	return c
}

// kernels are its connections that the kernel has.
func (c *caller) kernels(r *rig) []string {
	out, _, _ := testrig.Try(r.Server, nil, "ss", "-Htn", "state", "established", fmt.Sprintf("dport = :%d", c.port))
	return strings.Fields(out)
}

// goesOn waits for three more connections, which are not the kernel's.
func (c *caller) goesOn(t *testing.T, r *rig) {
	t.Helper()
	turns := func() int { return strings.Count(c.proc.Output(), ".") }
	before, end := turns(), time.Now().Add(2*testrig.Patience)
	for turns() < before+30 {
		require.True(t, c.proc.Cmd.ProcessState == nil && time.Now().Before(end), "no more than %d turns: %s", turns()-before, c.proc.Output())
		time.Sleep(10 * time.Millisecond)
	}
	require.Empty(t, c.kernels(r), "connections of the kernel's")
}

func (c *caller) queues(r *rig) int { return r.Status().QueuesByPID()[c.proc.Pid()] }

// Beside a server of another user two programs that only connect have a spur each; without one the first of them has the queues. All go on
// through the broker's death, and when one of the others is killed.
func TestUnrelatedProgramsThatConnect(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	var s stranger
	s.startOn(t, r, 8000)
	s.served(t, r)
	a := r.call(t, 61001)
	b := r.call(t, 61002)
	require.Equal(t, []int{1, 1}, []int{a.queues(r), b.queues(r)})
	s.connect(t, r)

	r.Broker.Stop(syscall.SIGKILL)
	s.get(t)
	r.StartBroker()
	s.served(t, r)
	testrig.Until(t, "the spurs to be adopted", func() bool { return a.queues(r) == 1 && b.queues(r) == 1 })
	a.goesOn(t, r)
	b.goesOn(t, r)
	s.connect(t, r)

	s.proc.Stop(syscall.SIGKILL)
	a.goesOn(t, r)
	a.proc.Stop(syscall.SIGKILL)
	b.goesOn(t, r)
	c := r.call(t, 61003) // nobody has the queues
	require.Equal(t, 2, c.queues(r))
	s.startOn(t, r, 8000) // and now it has, so that the server gets spurs
	s.served(t, r)
	s.connect(t, r)
	s.transfer(t, r)
	b.goesOn(t, r)
	c.goesOn(t, r)
}

// workerText is one of several servers of a port, which says who it is to whoever connects. If it is told an address it connects there first, and goes on
// talking to it between its clients.
const workerText = `
import os, select, socket, sys
out = socket.create_connection((sys.argv[2], int(sys.argv[3])), 30) if len(sys.argv) > 2 else None
def talk():
    if out:
        out.sendall(b"x" * 100)
        got = 0
        while got < 100:
            n = len(out.recv(100))
            assert n, "end of stream"
            got += n
        print(".", end="", flush=True)
talk()
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
l.bind(("0.0.0.0", int(sys.argv[1])))
l.listen(64)
l.setblocking(False)
p = select.poll()
p.register(l, select.POLLIN)
while True:
    for fd, ev in p.poll(50):
        try:
            c, _ = l.accept()
        except BlockingIOError:
            continue
        c.sendall(b"%d\n" % os.getpid())
        c.close()
    talk()
`

// A worker that connects before it listens has a spur by then; it gets its share of the server's queues all the same, and its connection goes on.
func TestAWorkerThatConnectsFirst(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 2})
	far := bedtest.Echo(t, r.Client)
	start := func(args ...string) *testrig.Proc {
		args = append([]string{"run", "--", "/usr/bin/python3", "-c", workerText, "8000"}, args...)
		return testrig.Start(t, r.Server, append(r.Env(), "SLUICE_LISTEN=8000", fmt.Sprintf("SLUICE_CONNECT=*:%d", far)), testrig.Built(t, "sluice"), args...)
	}
	queues := func(p *testrig.Proc) int { return r.Status().QueuesByPID()[p.Pid()] }
	first := start()
	testrig.Until(t, "the first worker to have both queues", func() bool { return queues(first) == 2 })
	second := start(r.Client.IPv4.String(), fmt.Sprint(far))
	testrig.Until(t, "the second to have one of them, beside its spur", func() bool { return queues(first) == 1 && queues(second) == 2 })
	served := map[string]bool{}
	testrig.Until(t, "both to serve", func() bool {
		c := r.dial(t, 8000)
		require.NoError(t, c.SetDeadline(time.Now().Add(testrig.Patience)))
		who, err := io.ReadAll(c)
		require.NoError(t, err)
		served[string(who)] = true
		return len(served) == 2
	})
	turns := strings.Count(second.Output(), ".")
	testrig.Until(t, "its connection to go on", func() bool { return strings.Count(second.Output(), ".") > turns+5 })
	require.Empty(t, r.kernelConnections(8000))
	out, _, _ := testrig.Try(r.Server, nil, "ss", "-Htn", "state", "established", fmt.Sprintf("dport = :%d", far))
	require.Empty(t, out, "connections of the kernel's")
	first.Stop(syscall.SIGKILL)
	testrig.Until(t, "the second to have all", func() bool { return queues(second) == 3 })
	turns = strings.Count(second.Output(), ".")
	testrig.Until(t, "its connection to go on", func() bool { return strings.Count(second.Output(), ".") > turns+5 })
}

package moves

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const port = 8080

var root, _ = filepath.Abs("../..")

// rig is a bed with a broker.
type rig struct {
	t      *testing.T
	bed    *testbed.Bed
	dir    string
	socket string
	took   map[proto.Op][]time.Duration // for one connection
	rand   *rand.Rand                   // the order of things, by SEED
	stack  int                          // of each of the program's threads, octets; 0: as usual
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, bed: bedtest.New(t, testbed.Config{}), dir: t.TempDir(), took: map[proto.Op][]time.Duration{}, rand: rand.New(rand.NewPCG(seed(t), 0))}
	r.socket = filepath.Join(r.dir, "broker.sock")
	b := r.start(exec.Command(filepath.Join(root, "build/sluice"), "broker", "--socket", r.socket, "--pins", filepath.Join(r.dir, "bpf", "sluice")), false)
	t.Cleanup(func() {
		b.end(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the broker said:\n%s", b.said())
		}
	})
	bedtest.Until(t, "the broker's answer", func() bool {
		_, err := broker.Query(r.socket, bedtest.CleanLimit)
		return err == nil
	})
	return r
}

func (r *rig) status() broker.Status {
	r.t.Helper()
	st, err := broker.Query(r.socket, bedtest.CleanLimit)
	require.NoError(r.t, err)
	return st
}

// proc is a running program and what it said.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	over chan struct{}
	once sync.Once
}

func (p *proc) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *proc) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

func (r *rig) start(c *exec.Cmd, inside bool) *proc {
	r.t.Helper()
	p := &proc{t: r.t, cmd: c, over: make(chan struct{})}
	c.Stdout, c.Stderr = p, p
	begin := c.Start
	if inside {
		begin = func() error { return r.bed.Server.Start(c) }
	}
	require.NoError(r.t, begin())
	go func() {
		_ = c.Wait()
		close(p.over)
	}()
	return p
}

// end stops the program; twice, or none, is no matter.
func (p *proc) end(sig syscall.Signal) {
	if p == nil {
		return
	}
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(sig)
		select {
		case <-p.over:
		case <-time.After(bedtest.CleanLimit):
			_ = p.cmd.Process.Kill()
			<-p.over
		}
	})
}

// wait expects the program to end by itself, well.
func (p *proc) wait() {
	p.t.Helper()
	select {
	case <-p.over:
	case <-time.After(60 * time.Second):
		p.t.Fatal("the program does not end")
	}
	require.True(p.t, p.cmd.ProcessState.Success(), "%v", p.cmd.ProcessState)
}

// serve starts duplex.c for n connections under the preload object.
func (r *rig) serve(n int) *proc { return r.serveBy(true, n) }

func (r *rig) serveBy(accelerated bool, n int) *proc {
	r.t.Helper()
	return r.program("duplex", accelerated, fmt.Sprint(n))
}

// program compiles and starts one of testdata, and waits until it listens.
func (r *rig) program(name string, accelerated bool, args ...string) *proc {
	r.t.Helper()
	program := filepath.Join(r.dir, name)
	out, err := exec.Command("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, "testdata/"+name+".c").CombinedOutput()
	require.NoError(r.t, err, "%s", out)
	c := exec.Command(program, append([]string{r.bed.Server.IPv4.String(), fmt.Sprint(port)}, args...)...)
	c.Env = []string{fmt.Sprint("SLT_PAUSE=", pause.Microseconds()), "SLUICE_LOG=" + cmp.Or(os.Getenv("SLT_LOG"), "error"), "LD_PRELOAD=" + filepath.Join(root, "build/libsluice.so"), "SLUICE_BROKER=" + r.socket}
	if !accelerated {
		c.Env = []string{"SLT_PAUSE=0"}
	}
	if r.stack > 0 {
		c.Env = append(c.Env, fmt.Sprint("SLT_STACK=", r.stack))
	}
	p := r.start(c, true)
	r.t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if r.t.Failed() {
			r.t.Logf("the program said:\n%s", p.said())
		}
	})
	bedtest.Until(r.t, "the program to listen", func() bool { return strings.Contains(p.said(), "listening\n") })
	if !accelerated {
		return p
	}
	bedtest.Until(r.t, "all queues to be the program's", func() bool {
		st := r.status()
		return len(st.Leases) == 1 && len(st.Leases[0].Queues) == 4
	})
	return p
}

// dial connects and names the style in which to be served.
func (r *rig) dial(style string) (c net.Conn) {
	r.t.Helper()
	require.NoError(r.t, r.bed.Client.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", fmt.Sprintf("%s:%d", r.bed.Server.IPv4, port), bedtest.CleanLimit)
		return err
	}))
	r.t.Cleanup(func() { c.Close() })
	_, err := fmt.Fprintf(c, "%-8s", style)
	require.NoError(r.t, err)
	return c
}

func (r *rig) stream(number int, style string) *peer {
	r.t.Helper()
	c := &peer{Conn: r.dial(style), number: number, style: style}
	c.control()
	// Accepted in order: the next is dialled when this one is.
	bedtest.Until(r.t, "the connection to be accepted", func() bool { return r.open() > number })
	return c
}

// open is how many connections the programs' engines have accepted.
func (r *rig) open() (n int) {
	for _, l := range r.status().Leases {
		n += int(l.Counters["accepted"])
	}
	return n
}

// maxRest is how long the connections stay where they are at most.
const maxRest = 40 * time.Millisecond

// moveUntil moves to and fro until there were n moves, or ok says no.
func (r *rig) moveUntil(n int, w proto.Which, ok func() bool) (moved int) {
	r.t.Helper()
	for end := time.Now().Add(time.Duration(n)*time.Second + 60*time.Second); moved < n && ok(); {
		for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
			m, err := broker.Move(r.socket, op, w)
			require.NoError(r.t, err)
			moved += m.Moved
			r.note(op, m)
			time.Sleep(time.Duration(r.rand.Int64N(int64(maxRest))))
		}
		require.True(r.t, time.Now().Before(end), "%d moves only", moved)
	}
	return moved
}

func (r *rig) note(op proto.Op, m proto.Moves) {
	if m.Moved > 0 {
		r.took[op] = append(r.took[op], time.Duration(m.Nanos/int64(m.Moved)))
	}
	if m.Left > 0 && testing.Verbose() {
		r.t.Logf("%s: %d left: %s", op, m.Left, m.Why)
	}
}

// times is how long a connection stood still.
func (r *rig) times() string {
	var b strings.Builder
	w := bufio.NewWriter(&b)
	for _, op := range []proto.Op{proto.OpDetach, proto.OpAttach} {
		d := slices.Sorted(slices.Values(r.took[op]))
		if len(d) > 0 {
			fmt.Fprintf(w, "%s of one connection: p50 %v, p90 %v, p99 %v (%d); ", op, d[len(d)/2], d[len(d)*9/10], d[len(d)*99/100], len(d))
		}
	}
	w.Flush()
	return b.String()
}

// Package cabi tests the engine by its C border, as the preload object uses it: a C program (testdata/driver.c) in one end of a
// veth pair, a broker beside it, the kernel's TCP at the other end.
package cabi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const patience = 15 * time.Second

// built are the engine and the driver, made once.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "sluice-cabi-"); err != nil {
		return "", err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return dir, err
	}
	for _, c := range []*exec.Cmd{
		exec.Command("go", "build", "-buildmode=c-shared", "-o", dir+"/engine.so",
			"-ldflags", "-extldflags '-Wl,--version-script="+root+"/cabi/exports.map'", root+"/cabi"),
		exec.Command("cc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-I"+root+"/cabi", "-o", dir+"/driver", "testdata/driver.c", "-ldl"),
	} {
		if out, err := c.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("%v: %w\n%s", c, err, out)
		}
	}
	return dir, os.Chmod(dir, 0o755)
})

func TestMain(m *testing.M) {
	if words := strings.Fields(os.Getenv(mortalVar)); len(words) == 3 {
		mortalBroker(words)
	}
	code := m.Run()
	if dir, _ := built(); dir != "" && os.Geteuid() == 0 {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// logger writes the broker's lines to the test.
type logger struct {
	mu     sync.Mutex
	t      testing.TB
	done   bool
	active int // queues that were told to lead to a driver
}

func (l *logger) line(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(fmt.Sprintf(format, args...), "packets go to") {
		l.active++
	}
	if !l.done {
		l.t.Logf(format, args...)
	}
}
func (l *logger) Errorf(format string, args ...any) { l.line(format, args...) }
func (l *logger) Infof(format string, args ...any)  { l.line(format, args...) }
func (l *logger) Debugf(format string, args ...any) { l.line(format, args...) }

// rig is a bed with a broker.
type rig struct {
	t      *testing.T
	bed    *testbed.Bed
	dir    string
	socket string
	log    *logger
	broker *broker.Broker
	grace  time.Duration // of brokers to come; 0: the default
}

func newRig(t *testing.T, queues int) *rig {
	t.Helper()
	r := &rig{t: t, bed: bedtest.New(t, testbed.Config{Queues: queues})}
	var err error
	r.dir, err = built()
	require.NoError(t, err)
	r.socket = filepath.Join(t.TempDir(), "broker.sock")
	r.log = &logger{t: t}
	t.Cleanup(func() {
		r.stopBroker()
		r.log.mu.Lock()
		r.log.done = true
		r.log.mu.Unlock()
	})
	r.startBroker()
	return r
}

// pinsBeside is where a broker pins if nobody says otherwise and the host has no bpffs: with one, tests would share its.
func pinsBeside(socket string) string { return filepath.Join(filepath.Dir(socket), "bpf", "sluice") }

func (r *rig) startBroker() {
	b, err := broker.Start(context.Background(), broker.Config{Socket: r.socket, PinDir: pinsBeside(r.socket), Log: r.log, Grace: r.grace})
	require.NoError(r.t, err)
	r.broker = b
}

func (r *rig) stopBroker() {
	if r.broker != nil {
		r.broker.Close()
		r.broker = nil
	}
}

// listen has the driver listen and waits until packets go to it by n more queues.
func (r *rig) listen(d *driver, addr netip.AddrPort, n int) {
	r.t.Helper()
	before := r.active()
	d.say("listen %v %d", addr.Addr(), addr.Port())
	d.want("listen 0")
	bedtest.Until(r.t, "queues to lead to the driver", func() bool { return r.active() >= before+n })
}

func (r *rig) active() int {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.active
}

// driver is a running one.
type driver struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

// start starts the driver in a namespace.
func (r *rig) start(n *testbed.Node) *driver {
	r.t.Helper()
	d := &driver{t: r.t, cmd: exec.Command(r.dir+"/driver", r.dir+"/engine.so", r.socket), ended: make(chan struct{})}
	var err error
	d.in, err = d.cmd.StdinPipe()
	require.NoError(r.t, err)
	out, err := d.cmd.StdoutPipe()
	require.NoError(r.t, err)
	errs, err := d.cmd.StderrPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, n.Start(d.cmd))
	var read sync.WaitGroup
	read.Add(2)
	go func() { defer read.Done(); d.read(out) }()
	go func() { defer read.Done(); d.logErrors(r.log, errs) }()
	go func() { read.Wait(); _ = d.cmd.Wait(); close(d.ended) }()
	r.t.Cleanup(func() { _ = d.cmd.Process.Kill(); <-d.ended })
	d.wantWithin(4*patience, "start 0") // the first of all reads an engine that was just built
	return d
}

func (d *driver) read(out io.Reader) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		d.mu.Lock()
		d.lines = append(d.lines, s.Text())
		d.mu.Unlock()
	}
}

func (d *driver) logErrors(l *logger, errs io.Reader) {
	s := bufio.NewScanner(errs)
	for s.Scan() {
		l.line("driver: %s", s.Text())
	}
}

func (d *driver) say(format string, args ...any) {
	d.t.Helper()
	_, err := fmt.Fprintf(d.in, format+"\n", args...)
	require.NoError(d.t, err)
}

// want waits for a line that begins so and returns the rest of it; all lines up to it are used up.
func (d *driver) want(prefix string) string {
	d.t.Helper()
	return d.wantWithin(patience, prefix)
}

func (d *driver) wantWithin(limit time.Duration, prefix string) string {
	d.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		d.mu.Lock()
		for i, l := range d.lines {
			if rest, ok := strings.CutPrefix(l, prefix); ok {
				d.lines = d.lines[i+1:]
				d.mu.Unlock()
				return strings.TrimSpace(rest)
			}
		}
		seen := strings.Join(d.lines, "\n")
		d.mu.Unlock()
		if time.Now().After(end) {
			d.t.Fatalf("the driver did not say %q; it said:\n%s", prefix, seen)
		}
		select {
		case <-d.ended:
			time.Sleep(10 * time.Millisecond)
			d.mu.Lock()
			left := len(d.lines)
			d.mu.Unlock()
			if left == 0 {
				d.t.Fatalf("the driver ended without %q: %v", prefix, d.cmd.ProcessState)
			}
		default:
		}
	}
}

// dial connects by the kernel from a namespace.
func (r *rig) dial(n *testbed.Node, to netip.AddrPort) net.Conn {
	r.t.Helper()
	var c net.Conn
	require.NoError(r.t, n.Do(func() (err error) {
		c, err = (&net.Dialer{Timeout: patience}).Dial("tcp", to.String())
		return err
	}))
	r.t.Cleanup(func() { _ = c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(4*patience)))
	return c
}

// echoed sends what and wants it back.
func (r *rig) echoed(c net.Conn, what string) {
	r.t.Helper()
	_, err := io.WriteString(c, what)
	require.NoError(r.t, err)
	got := make([]byte, len(what))
	_, err = io.ReadFull(c, got)
	require.NoError(r.t, err)
	require.Equal(r.t, what, string(got))
}

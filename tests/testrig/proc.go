package testrig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
)

// Patience bounds every wait for something that should happen: far above
// what a busy machine needs, so that only a fault reaches it.
const Patience = 15 * time.Second

// Proc is a started program.
type Proc struct {
	Cmd  *exec.Cmd
	Done chan struct{} // closed when it has been waited for
	T    *testing.T
	err  error  // of Wait, once Done is closed
	out  string // the file it writes to
}

// Start runs a command in a namespace (nil: this process's own) until Stop or
// the test's end.
func Start(t *testing.T, node *testbed.Node, env []string, name string, args ...string) *Proc {
	t.Helper()
	return StartWithInput(t, node, nil, env, name, args...)
}

// StartWithInput is Start with a standard input.
func StartWithInput(t *testing.T, node *testbed.Node, stdin *os.File, env []string, name string, args ...string) *Proc {
	t.Helper()
	p := &Proc{T: t, Cmd: exec.Command(name, args...), Done: make(chan struct{})}
	p.Cmd.Env = append(os.Environ(), env...)
	if stdin != nil {
		p.Cmd.Stdin = stdin
	}
	// A file, not a pipe: a daemon that keeps stderr open must not hold Wait.
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	p.out = out.Name()
	p.Cmd.Stdout, p.Cmd.Stderr = out, out
	if node != nil {
		err = node.Start(p.Cmd)
	} else {
		err = p.Cmd.Start()
	}
	out.Close()
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.Cmd.Wait()
		close(p.Done)
	}()
	t.Cleanup(func() { p.Stop(syscall.SIGKILL) })
	return p
}

// Pid of the started process, alive or not.
func (p *Proc) Pid() int { return p.Cmd.Process.Pid }

// Signal sends a signal if the process has not been waited for yet.
func (p *Proc) Signal(sig syscall.Signal) {
	select {
	case <-p.Done:
	default:
		p.Cmd.Process.Signal(sig)
	}
}

// Wait waits for the end; after the limit the process is killed and the test
// fails.
func (p *Proc) Wait(limit time.Duration) error {
	p.T.Helper()
	select {
	case <-p.Done:
	case <-time.After(limit):
		p.Signal(syscall.SIGKILL)
		<-p.Done
		p.T.Errorf("%s did not end within %v; it wrote:\n%s", p.Cmd.Path, limit, p.Output())
	}
	return p.err
}

// Stop ends the process with a signal and waits for it.
func (p *Proc) Stop(sig syscall.Signal) {
	p.T.Helper()
	p.Signal(sig)
	p.Wait(Patience)
}

// Output is what the process has written so far to both outputs.
func (p *Proc) Output() string {
	text, err := os.ReadFile(p.out)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(text)
}

// Run runs a command in a namespace to its end and returns its standard
// output; a failure ends the test.
func Run(t *testing.T, node *testbed.Node, name string, args ...string) string {
	t.Helper()
	out, errs, err := Try(node, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs)
	}
	return out
}

// Try runs a command in a namespace to its end.
func Try(node *testbed.Node, env []string, name string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.WaitDelay = Patience
	if node != nil {
		err = node.Start(cmd)
	} else {
		err = cmd.Start()
	}
	if err == nil {
		err = cmd.Wait()
	}
	return o.String(), e.String(), err
}

// Until waits for a condition.
func Until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for: %s", Patience, what)
		}
	}
}

// Alive tells whether a process, a child or not, has a thread left. One whose first thread is a zombie may: its files are open until the last has ended, so
// a server's port is not free (haproxy, seed 321 of the chaos).
func Alive(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 0
}

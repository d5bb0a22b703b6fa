package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-net/sluice/testbed"
)

// patience bounds every wait for something that should happen: far above
// what a busy machine needs, so that only a fault reaches it.
const patience = 15 * time.Second

// proc is a started program and what it wrote.
type proc struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	out  safeBuffer
}

// start runs a command in a namespace (nil: this process's own) until stop or
// the test's end.
func start(t *testing.T, node *testbed.Node, env []string, name string, args ...string) *proc {
	t.Helper()
	return startWithInput(t, node, nil, env, name, args...)
}

// startWithInput is start with a standard input.
func startWithInput(t *testing.T, node *testbed.Node, stdin *os.File, env []string, name string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	// A file, not a pipe: a daemon that keeps stderr open must not hold Wait.
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	p.out.file = out.Name()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if node != nil {
		err = node.Start(p.cmd)
	} else {
		err = p.cmd.Start()
	}
	out.Close()
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	return p
}

// startRole starts this test binary in a namespace, in one of its roles.
func startRole(t *testing.T, node *testbed.Node, role string, args ...string) *proc {
	t.Helper()
	return start(t, node, []string{roleEnv + "=" + role}, self(t), args...)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

// signal sends a signal if the process has not been waited for yet.
func (p *proc) signal(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		p.cmd.Process.Signal(sig)
	}
}

// wait waits for the end; after the limit the process is killed and the test
// fails.
func (p *proc) wait(limit time.Duration) error {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.signal(syscall.SIGKILL)
		<-p.done
		p.t.Errorf("%s did not end within %v; it wrote:\n%s", p.cmd.Path, limit, p.out.String())
	}
	return p.err
}

// stop ends the process with a signal and waits for it.
func (p *proc) stop(sig syscall.Signal) {
	p.t.Helper()
	p.signal(sig)
	p.wait(patience)
}

// safeBuffer reads what a program has written so far.
type safeBuffer struct {
	mu   sync.Mutex
	file string
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, err := os.ReadFile(b.file)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(text)
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for: %s", patience, what)
		}
	}
}

// run runs a command in a namespace to its end and returns its standard
// output; a failure ends the test.
func run(t *testing.T, node *testbed.Node, name string, args ...string) string {
	t.Helper()
	out, errs, err := try(node, nil, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs)
	}
	return out
}

// try runs a command in a namespace to its end.
func try(node *testbed.Node, env []string, name string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.WaitDelay = patience
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

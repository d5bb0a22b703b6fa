// Package lab has two ends with an impaired path between them, and moves data over it by bench/prog/transfer: the end under
// test with its connections accelerated or by the kernel, the other end always by the kernel.
package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/path"
)

// Config says what to make. Bin is the directory with sluice and transfer.
type Config struct {
	Bin    string
	MTU    int
	Direct bool // one veth pair, without a path between: no impairment, offloads as they are
}

// Lab is made by New and ended by Close.
type Lab struct {
	*testbed.Bed
	Path *path.Path // nil if the ends are joined directly

	cfg    Config
	dir    string // in memory: what is transferred is there
	broker *program
}

// patience bounds every wait for a program to be ready.
const patience = 15 * time.Second

// New makes a lab. It needs root.
func New(cfg Config) (*Lab, error) {
	l := &Lab{cfg: cfg}
	if err := l.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build() (err error) {
	if l.dir, err = os.MkdirTemp("/dev/shm", "sluice-lab-"); err != nil {
		return err
	}
	if l.Bed, err = testbed.New(testbed.Config{Queues: 1, MTU: l.cfg.MTU, Middle: !l.cfg.Direct}); err != nil {
		return err
	}
	if !l.cfg.Direct {
		if l.Path, err = path.Start(l.Bed, l.cfg.MTU); err != nil {
			return err
		}
	}
	l.broker, err = start(context.Background(), nil, nil, filepath.Join(l.cfg.Bin, "sluice"), "broker",
		"--socket", l.socket(), "--pins", filepath.Join(l.dir, "bpf", "sluice"))
	if err != nil {
		return err
	}
	return l.broker.until(func() bool {
		_, err := broker.Query(l.socket(), patience)
		return err == nil
	})
}

func (l *Lab) socket() string { return filepath.Join(l.dir, "broker.sock") }

// Close ends the programs and removes everything.
func (l *Lab) Close() error {
	var errs []error
	if l.broker != nil {
		errs = append(errs, l.broker.stop())
	}
	if l.Path != nil {
		l.Path.Close()
	}
	if l.Bed != nil {
		errs = append(errs, l.Bed.Close(), testbed.WaitClean(patience, l.Bed.Names()...))
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

// packets is what has gone through hidden queues so far.
func (l *Lab) packets() uint64 {
	st, err := broker.Query(l.socket(), patience)
	if err != nil {
		return 0
	}
	rx, tx := st.Packets()
	return rx + tx
}

// prefix: chrt(1) gives the programs a real-time priority where that is allowed, so that whoever else works on the machine disturbs
// a measurement less. A stack in user space needs the processor to answer, the kernel's does not: under load a comparison
// would tell of the load.
var prefix = sync.OnceValue(func() []string {
	realtime := []string{"chrt", "--rr", "1"}
	if exec.Command(realtime[0], append(realtime[1:], "true")...).Run() != nil {
		return nil
	}
	return realtime
})

// program is one that was started.
type program struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
	done     chan struct{}
	failed   error
}

func start(ctx context.Context, n *testbed.Node, env []string, name string, args ...string) (*program, error) {
	p := &program{done: make(chan struct{})}
	words := append(append(slices.Clone(prefix()), name), args...)
	p.cmd = exec.CommandContext(ctx, words[0], words[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.WaitDelay = time.Second
	var err error
	if n == nil {
		err = p.cmd.Start()
	} else {
		err = n.Start(p.cmd)
	}
	if err != nil {
		return nil, err
	}
	go func() {
		p.failed = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// until waits for a condition while the program runs.
func (p *program) until(cond func() bool) error {
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			return p.wait()
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: waited in vain until it was ready", p.cmd)
		}
	}
	return nil
}

// wait waits for the end and tells what went wrong.
func (p *program) wait() error {
	<-p.done
	if p.failed != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(p.cmd.Args, " "), p.failed, strings.TrimSpace(p.err.String()))
	}
	return nil
}

func (p *program) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s: did not end", p.cmd)
	}
	return nil
}

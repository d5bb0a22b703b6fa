package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/bench/procfs"
	"github.com/sluice-net/sluice/broker"
)

// Process is a started program.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// launch starts a command, its outputs to a file.
func (s *Session) launch(h *local, cmd *exec.Cmd) (*Process, error) {
	log, err := os.CreateTemp(s.dir, "log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	p := &Process{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	if err := h.do(cmd.Start); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// pid of the program: taskset and sluice run are replaced by it.
func (p *Process) pid() int { return p.cmd.Process.Pid }

// until waits for a condition while the process runs.
func (p *Process) until(what string, cond func() bool) error {
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.cmd.Path, p.output())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain until %s; it wrote: %s", what, p.output())
		}
	}
	return nil
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *Process) output() string {
	text, _ := os.ReadFile(p.log)
	return tail(string(text))
}

// serve starts a server at the server's end and waits until it listens and, fast, holds every queue of the device.
func (s *Session) serve(c command, cores string, port int, done ...func() bool) (*Process, error) {
	p, err := s.launch(s.server, s.server.build(s.ctx, c, cores))
	if err != nil {
		return nil, err
	}
	err = p.until(c.Program+" listens", func() bool { return s.server.listening(port) })
	if err == nil && c.Fast {
		err = p.until(c.Program+" holds the queues", func() bool { return s.settled(p) })
	}
	for _, f := range done {
		if err == nil {
			err = p.until(c.Program+" is ready", f)
		}
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// settled tells whether the process and its children hold every queue of the devices in use, in fair shares: until then new
// connections may be the kernel's.
func (s *Session) settled(p *Process) bool {
	st, err := broker.Query(s.socket, patience)
	if err != nil || len(st.Devices) == 0 {
		return false
	}
	tree := procfs.Tree(p.pid())
	for _, d := range st.Devices {
		held := map[int]int{}
		for _, pid := range d.Owners {
			if !slices.Contains(tree, pid) {
				return false
			}
			held[pid]++
		}
		least, most := len(d.Owners), 0
		for _, n := range held {
			least, most = min(least, n), max(most, n)
		}
		if most > least+1 {
			return false
		}
	}
	return true
}

// kernelAlone waits until no program of sluice is on the devices, so that the kernel is measured as it is without.
func (s *Session) kernelAlone() error {
	var st broker.Status
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		st, err = broker.Query(s.socket, patience)
		if err == nil && len(st.Leases) == 0 && len(st.Devices) == 0 {
			return nil
		}
	}
	return errors.Join(err, fmt.Errorf("devices stay in use: %+v", st.Devices))
}

// knobs of an accelerated client: what it connects to, and nothing else.
func (s *Session) clientKnobs() []string {
	return []string{"SLUICE_LISTEN=none", "SLUICE_CONNECT=" + s.server.ip.String() + "/32:*"}
}

func joinCores(cores ...string) string { return strings.Join(cores, ",") }

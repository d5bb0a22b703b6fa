package demo

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/testbed"
)

// patience bounds every wait for a server.
const patience = 15 * time.Second

// process is a started program.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// start starts a program in a namespace (nil: here), pinned to a core.
func (r *run) start(node *testbed.Node, env []string, core int, name string, args ...string) (*process, error) {
	log, err := os.CreateTemp(r.dir, filepath.Base(name))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(r.ctx, "taskset", append([]string{"-c", strconv.Itoa(core), name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	if node != nil {
		err = node.Start(cmd)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// server starts a program on core 0 of the server's namespace, by sluice run
// or as it is.
func (r *run) server(fast bool, command ...string) (*process, error) {
	if !fast {
		return r.start(r.bed.Server, nil, 0, command[0], command[1:]...)
	}
	args := append([]string{"run", "--broker", r.socket, "--"}, command...)
	return r.start(r.bed.Server, nil, 0, filepath.Join(r.cfg.Bin, "sluice"), args...)
}

// client runs a program to its end on the last core of the client's
// namespace.
func (r *run) client(name string, args ...string) (string, error) {
	out, err := r.bed.Client.Run("taskset", append([]string{"-c", "1", name}, args...)...)
	if err != nil {
		return "", errors.New(name + ": " + err.Error() + ": " + out)
	}
	return out, nil
}

// until waits for a condition while the process runs.
func (p *process) until(cond func() bool) error {
	for end := time.Now().Add(patience); !cond(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-p.done:
			return errors.New("ended early")
		default:
		}
		if time.Now().After(end) {
			return errors.New("waited in vain")
		}
	}
	return nil
}

// stop ends the process and waits for it.
func (p *process) stop(sig syscall.Signal) {
	p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) output() string {
	text, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(text))
}

package differ

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/testbed"
)

// limit is how long one sequence may take, far more than any does.
const limit = 20 * time.Second

// side runs sequences on one path: a pair of processes that is made again when one of them died.
type side struct {
	name          string
	node, peers   *testbed.Node
	program       string
	env, peersEnv []string
	proc, peer    *exec.Cmd
	in            io.WriteCloser
	out           *bufio.Reader
	said          *os.File
}

// start begins the two processes, joined by pipes.
func (s *side) start() (err error) {
	var pipes [4]*os.File
	for i := 0; i < 4; i += 2 {
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			return err
		}
	}
	defer func() {
		for _, p := range pipes {
			p.Close()
		}
	}()
	s.peer = exec.Command(s.program, "peer", s.node.IPv4.String())
	s.peer.Stdin, s.peer.Stdout, s.peer.Env = pipes[0], pipes[3], s.peersEnv
	s.proc = exec.Command(s.program, s.node.IPv4.String(), s.peers.IPv4.String())
	s.proc.ExtraFiles, s.proc.Env = []*os.File{pipes[1], pipes[2]}, s.env
	s.proc.Stderr, s.peer.Stderr = s.said, s.said
	if s.in, err = s.proc.StdinPipe(); err != nil {
		return err
	}
	out, err := s.proc.StdoutPipe()
	if err != nil {
		return err
	}
	s.out = bufio.NewReaderSize(out, 1<<20)
	if err = s.peers.Start(s.peer); err == nil {
		err = s.node.Start(s.proc)
	}
	return err
}

func (s *side) stop() {
	if s.proc == nil {
		return
	}
	s.in.Close()
	ended := make(chan error, 1)
	proc := s.proc
	go func() { ended <- proc.Wait() }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		proc.Process.Kill()
		<-ended
	}
	s.peer.Process.Kill()
	s.peer.Wait()
	s.proc = nil
}

// run gives the results of one sequence, a line for each step; if the process died or hung, the last line says so.
func (s *side) run(q sequence, patience int) []string {
	if s.proc == nil {
		if err := s.start(); err != nil {
			return []string{"start: " + err.Error()}
		}
	}
	hung := time.AfterFunc(limit, func() { s.proc.Process.Signal(syscall.SIGABRT) })
	defer hung.Stop()
	if _, err := io.WriteString(s.in, q.text(patience)); err != nil {
		return s.died(nil, err)
	}
	var lines []string
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			return s.died(lines, err)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "end" {
			return lines
		}
		lines = append(lines, line)
	}
}

func (s *side) died(lines []string, err error) []string {
	s.proc.Process.Kill()
	s.in.Close()
	s.proc.Wait()
	s.peer.Process.Kill()
	s.peer.Wait()
	status := s.proc.ProcessState
	s.proc = nil
	return append(lines, fmt.Sprintf("the process ended: %v (%v)", status, err))
}

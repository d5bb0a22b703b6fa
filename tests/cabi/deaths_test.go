package cabi

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

const mortalVar = "CABI_TEST_MORTAL_BROKER"

// mortalBroker is what this binary is with that variable, "socket step n": a broker that kills itself at a step, when that comes for the n-th time.
func mortalBroker(words []string) {
	left, _ := strconv.Atoi(words[2])
	_, err := broker.Start(context.Background(), broker.Config{Socket: words[0], PinDir: pinsBeside(words[0]), Log: toStdout{}, Step: func(what string) {
		if what == words[1] {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}})
	fmt.Println("started:", err)
	select {}
}

type toStdout struct{}

func (toStdout) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (toStdout) Infof(format string, args ...any)  { fmt.Printf(format+"\n", args...) }
func (toStdout) Debugf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// startMortal has such a broker serve the rig; the channel is closed when it has died.
func (r *rig) startMortal(step string) <-chan struct{} {
	r.t.Helper()
	r.stopBroker()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), mortalVar+"="+r.socket+" "+step)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, cmd.Start())
	died := make(chan struct{})
	r.t.Cleanup(func() { _ = cmd.Process.Kill(); <-died })
	s := bufio.NewScanner(out)
	for s.Scan() && !strings.HasPrefix(s.Text(), "started:") {
	}
	require.Equal(r.t, "started: <nil>", s.Text())
	go func() {
		for s.Scan() {
			r.log.line("%s", s.Text())
		}
		_ = cmd.Wait()
		close(died)
	}()
	return died
}

// TestABrokerThatDiesInAMove: a program closes its listener, and its two connections are on their way to the kernel when the broker is killed. Each lives on
// where it is, and the next broker, which never saw that listener, takes to the kernel what is not there.
func TestABrokerThatDiesInAMove(t *testing.T) {
	for _, step := range []string{"filled 1", "sent 1", "alive 1", "sent 2", "alive 2"} {
		t.Run(step, func(t *testing.T) {
			r := newRig(t, 1)
			died := r.startMortal(step)
			d := r.start(r.bed.Server)
			r.listen(d, at(r.bed.Server.IPv4, 8080), 1)
			var conns []net.Conn
			for range 2 {
				conns = append(conns, r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080)))
				d.want("accepted ")
			}
			all := func(what string) {
				for _, c := range conns {
					r.echoed(c, what)
				}
			}
			all("by the engine")
			d.say("unlisten")
			d.want("unlisten 0")
			<-died
			all("without a broker, one here and one there")
			r.grace = time.Second
			r.startBroker()
			all("with the next")
			d.want("moved ")
			d.want("moved ")
			all("by the kernel")
			d.say("stats")
			require.Contains(t, d.want("stats"), "panics 0")
			bedtest.Until(t, "pins that nobody came for to go", func() bool {
				pins, err := os.ReadDir(pinsBeside(r.socket))
				return err == nil && len(pins) == 0
			})
		})
	}
}

// Package testrig is what every test with real programs begins with: two
// namespaces, a broker, programs started in them, and at the end a look that
// nothing of it is left.
package testrig

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// Rig is two namespaces and a broker. When the test ends, nothing of it may
// be left.
type Rig struct {
	*testbed.Bed
	T      *testing.T
	Dir    string // readable by every user; under it everything the test writes
	Broker *Proc
}

// New makes a rig that goes away with the test.
func New(t *testing.T, cfg testbed.Config) *Rig {
	t.Helper()
	r := &Rig{T: t, Bed: bedtest.New(t, cfg)}
	dir, err := os.MkdirTemp("", "slt-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	r.Dir = dir
	t.Cleanup(func() {
		r.checkNothingLeft()
		os.RemoveAll(dir)
	})
	r.StartBroker()
	return r
}

// Socket is the path of the broker's.
func (r *Rig) Socket() string { return filepath.Join(r.Dir, "broker.sock") }

// Pins is the folder of the broker's pins.
func (r *Rig) Pins() string { return filepath.Join(r.Dir, "bpf", "sluice") }

// Env makes a program use the rig's broker.
func (r *Rig) Env() []string { return []string{"SLUICE_BROKER=" + r.Socket()} }

// StartBroker starts the broker, with the flags that SLT_BROKER holds, again if it was ended; its lines are shown when the test fails.
func (r *Rig) StartBroker() {
	r.T.Helper()
	args := append([]string{"broker", "--socket", r.Socket(), "--pins", r.Pins()}, strings.Fields(os.Getenv("SLT_BROKER"))...)
	r.Broker = Start(r.T, nil, nil, Built(r.T, "sluice"), args...)
	b := r.Broker
	r.T.Cleanup(func() {
		b.Stop(syscall.SIGTERM)
		if r.T.Failed() {
			r.T.Logf("the broker said:\n%s", b.Output())
		}
	})
	Until(r.T, "the broker's answer", func() bool {
		_, err := QueryStatus(r.Socket())
		return err == nil
	})
}

// Status asks the rig's broker.
func (r *Rig) Status() broker.Status {
	r.T.Helper()
	st, err := QueryStatus(r.Socket())
	require.NoError(r.T, err)
	return st
}

// QueryStatus asks the broker of a socket.
func QueryStatus(socket string) (broker.Status, error) {
	return broker.Query(socket, Patience)
}

// checkNothingLeft runs when programs and broker have ended, while the
// namespaces are still there.
func (r *Rig) checkNothingLeft() {
	var left []string
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		if left = r.left(); len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			r.T.Errorf("left behind after %v: %q; the broker had said:\n%s", Patience, left, r.Broker.Output())
			return
		}
	}
}

func (r *Rig) left() []string {
	var left []string
	for _, n := range []*testbed.Node{r.Server, r.Client} {
		links, err := n.Run("ip", "-d", "link", "show", "dev", n.Device)
		if err == nil && strings.Contains(links, "prog/xdp") {
			left = append(left, "XDP program on "+n.Device+" of "+n.Name)
		}
		pids, _, _ := Try(nil, nil, "ip", "netns", "pids", n.Name)
		for _, pid := range strings.Fields(pids) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			left = append(left, "process "+pid+" "+strings.TrimSpace(string(name)))
		}
	}
	if pins, err := os.ReadDir(r.Pins()); err == nil {
		for _, pin := range pins {
			left = append(left, "pin "+pin.Name())
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), " "+r.Dir) {
		left = append(left, "a mount under "+r.Dir)
	}
	return left
}

// Built is the path of something make builds.
func Built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "build", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make first", err)
	}
	return path
}

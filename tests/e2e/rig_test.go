package e2e

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

// rig is two namespaces and a broker. When the test ends, nothing of it may
// be left.
type rig struct {
	*testbed.Bed
	t      *testing.T
	dir    string // readable by every user; under it everything the test writes
	broker *proc
}

func newRig(t *testing.T, cfg testbed.Config) *rig {
	t.Helper()
	r := &rig{t: t, Bed: bedtest.New(t, cfg)}
	dir, err := os.MkdirTemp("", "slt-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	r.dir = dir
	t.Cleanup(func() {
		r.checkNothingLeft()
		os.RemoveAll(dir)
	})
	r.startBroker()
	return r
}

func (r *rig) socket() string { return filepath.Join(r.dir, "broker.sock") }
func (r *rig) pins() string   { return filepath.Join(r.dir, "bpf", "sluice") }

// env makes a program use the rig's broker.
func (r *rig) env() []string { return []string{"SLUICE_BROKER=" + r.socket()} }

func (r *rig) startBroker() {
	r.t.Helper()
	r.broker = start(r.t, nil, nil, built(r.t, "sluice"), "broker", "--socket", r.socket(), "--pins", r.pins())
	b := r.broker
	r.t.Cleanup(func() {
		b.stop(syscall.SIGTERM)
		if r.t.Failed() {
			r.t.Logf("the broker said:\n%s", b.out.String())
		}
	})
	until(r.t, "the broker's answer", func() bool {
		_, err := queryStatus(r.socket())
		return err == nil
	})
}

// status asks the rig's broker.
func (r *rig) status() broker.Status {
	r.t.Helper()
	st, err := queryStatus(r.socket())
	require.NoError(r.t, err)
	return st
}

func queryStatus(socket string) (broker.Status, error) {
	return broker.Query(socket, patience)
}

// checkNothingLeft runs when programs and broker have ended, while the
// namespaces are still there.
func (r *rig) checkNothingLeft() {
	var left []string
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if left = r.left(); len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Errorf("left behind after %v: %q", patience, left)
			return
		}
	}
}

func (r *rig) left() []string {
	var left []string
	for _, n := range []*testbed.Node{r.Server, r.Client} {
		links, err := n.Run("ip", "-d", "link", "show", "dev", n.Device)
		if err == nil && strings.Contains(links, "prog/xdp") {
			left = append(left, "XDP program on "+n.Device+" of "+n.Name)
		}
		pids, _, _ := try(nil, nil, "ip", "netns", "pids", n.Name)
		for _, pid := range strings.Fields(pids) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			left = append(left, "process "+pid+" "+strings.TrimSpace(string(name)))
		}
	}
	if pins, err := os.ReadDir(r.pins()); err == nil {
		for _, pin := range pins {
			left = append(left, "pin "+pin.Name())
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), " "+r.dir) {
		left = append(left, "a mount under "+r.dir)
	}
	return left
}

package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/tests/testrig"
)

// killed are the rows of the crash matrix.
var killed = []string{"kill a worker", "kill master and workers", "kill the broker"}

// TestCrashMatrix kills worker, program and broker at random moments under load, as often each as SLT_CRASH says (`make crash N=500`), and
// looks after each that nothing of the dead is left.
func TestCrashMatrix(t *testing.T) {
	n, seed := number(t, "SLT_CRASH", 1), wanted(t).seed
	rnd := rand.New(rand.NewPCG(seed, 2))
	h := newHost(t)
	h.whole()
	page, err := os.ReadFile(filepath.Join(h.site.Root(), "index.html"))
	require.NoError(t, err)
	aside := startBystander(t, h.rig)
	l := startLoad(h.stand, page, 8)
	t.Cleanup(func() {
		if t.Failed() {
			h.look()
			t.Log(h.scene)
		}
	})
	held := h.holdings()
	t.Logf("the broker holds, while all is well: %v", held)
	for i := range n {
		for _, k := range rnd.Perm(len(killed)) {
			name := killed[k]
			where := fmt.Sprintf("seed %d, moment %d, %s", seed, i, name)
			h.die(l, named(name, h.wounds()), rnd, where)
			h.backTo(held, where)
		}
	}
	resent := retransmits(t, aside)
	require.Empty(t, l.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	t.Logf("%d moments each of: %s", n, strings.Join(killed, ", "))
	t.Logf("%d pages, %d requests failed as explained; the bystander made %d ways, the longest %v, %d segments sent again",
		l.answered.Load(), l.excused.Load(), aside.count, aside.slowly, resent)
}

// die lets one thing go wrong, and waits until all is well again. The fault explains what happens until a moment after that.
func (h *host) die(l *load, w wound, rnd *rand.Rand, where string) {
	h.t.Helper()
	time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
	l.explain(w.breaks)
	w.do(h.stand, rnd)
	h.whole()
	time.Sleep(100 * time.Millisecond)
	l.explain(harmless)
	require.Empty(h.t, l.unexplained(), where)
	h.t.Log(where)
}

// named finds a fault among a program's own and those of all.
func named(name string, own []wound) wound {
	for _, w := range append(own, wounds...) {
		if w.name == name {
			return w
		}
	}
	panic("no fault " + name)
}

// holdings counts what the broker and the kernel keep for programs, by kind.
func (h *host) holdings() map[string]int {
	got := map[string]int{}
	dir := fmt.Sprintf("/proc/%d/fd", h.rig.Broker.Pid())
	fds, _ := os.ReadDir(dir)
	for _, fd := range fds {
		to, _ := os.Readlink(filepath.Join(dir, fd.Name()))
		kind, _, _ := strings.Cut(to, ":[")
		kind = strings.TrimSuffix(kind, " (deleted)")
		switch kind {
		case "/memfd:sluice-umem", "/memfd:sluice-state", "anon_inode:[pidfd]", "anon_inode:bpf-map", "anon_inode:bpf_link", "net":
			got[kind]++
		}
	}
	pins, _ := os.ReadDir(h.rig.Pins())
	got["pins"] = len(pins)
	loaded, err := steer.Loaded()
	require.NoError(h.t, err)
	for _, p := range loaded {
		if p.NetNS == h.rig.Server.Inode() {
			got["XDP programs"]++
		}
	}
	return got
}

// kept is what a broker may hold beyond what programs have: the histories of the last eight that were killed with connections open, one
// memory made ahead for the next program, and its own namespace, to which it returns after the first connection that it moved.
var kept = map[string]int{"/memfd:sluice-state": 8, "/memfd:sluice-umem": 1, "net": 1}

// backTo waits until nothing is held that was not before.
func (h *host) backTo(want map[string]int, where string) {
	h.t.Helper()
	var got map[string]int
	for end := time.Now().Add(testrig.Patience); ; time.Sleep(10 * time.Millisecond) {
		got = h.holdings()
		more := false
		for kind, n := range got {
			more = more || n > want[kind]+kept[kind]
		}
		if !more {
			return
		}
		require.True(h.t, time.Now().Before(end), "%s: held before %v, now %v", where, want, got)
	}
}

// retransmits is how many segments the bystander's client sent again.
func retransmits(t *testing.T, b *bystander) uint32 {
	t.Helper()
	raw, err := b.conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var info *unix.TCPInfo
	var err2 error
	err = raw.Control(func(fd uintptr) { info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	require.NoError(t, errors.Join(err, err2))
	return info.Total_retrans
}

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/testrig"
)

const redisPort = 6379

// store is a rig with an accelerated redis that acknowledges a write when it is on disk (appendfsync always), behind a link that can be made worse.
type store struct {
	t    *testing.T
	rig  *testrig.Rig
	link *path.Path
	proc *testrig.Proc
	log  string // a full disk's file, which everything logs to
}

func newStore(t *testing.T) *store {
	if _, err := os.Stat("/usr/bin/redis-server"); err != nil {
		t.Skip("needs redis-server")
	}
	s := &store{t: t, rig: testrig.New(t, testbed.Config{Queues: 1, Middle: true})}
	var err error
	s.link, err = path.Start(s.rig.Bed, 1500)
	require.NoError(t, err)
	t.Cleanup(s.link.Close)
	s.fullDisk()
	s.start()
	return s
}

// fullDisk is where the programs' logs go to: nothing of them is ever written.
func (s *store) fullDisk() {
	dir := filepath.Join(s.rig.Dir, "full")
	require.NoError(s.t, os.Mkdir(dir, 0o755))
	require.NoError(s.t, unix.Mount("none", dir, "tmpfs", 0, "size=8k"))
	s.t.Cleanup(func() { require.NoError(s.t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s.log = filepath.Join(dir, "log")
	require.ErrorIs(s.t, os.WriteFile(s.log, make([]byte, 64<<10), 0o666), unix.ENOSPC)
}

func (s *store) start() {
	dir := filepath.Join(s.rig.Dir, "redis")
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	env := append(s.rig.Env(), fmt.Sprintf("SLUICE_LISTEN=%d", redisPort), "SLUICE_LOG="+s.log)
	s.proc = testrig.Start(s.t, s.rig.Server, env, testrig.Built(s.t, "sluice"), "run", "--", "/usr/bin/redis-server",
		"--bind", s.rig.Server.IPv4.String(), "--protected-mode", "no", "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--logfile", s.log)
}

func (s *store) addr() string { return fmt.Sprintf("%s:%d", s.rig.Server.IPv4, redisPort) }

// whole waits until redis holds its queue and answers.
func (s *store) whole() {
	s.t.Helper()
	testrig.Until(s.t, "redis to be accelerated", func() bool {
		st, err := testrig.QueryStatus(s.rig.Socket())
		return err == nil && st.QueuesByPID()[s.proc.Pid()] > 0
	})
	testrig.Until(s.t, "redis to answer", func() bool {
		c := &keeper{store: s, patience: time.Second}
		defer c.drop()
		_, err := c.ask("PING")
		return err == nil
	})
}

func (s *store) ip(args ...string) {
	s.t.Helper()
	out, err := s.rig.Server.Run("ip", args...)
	require.NoError(s.t, err, out)
}

// worse makes the link bad for a while.
func (s *store) worse(rnd *rand.Rand, l path.Link) {
	s.link.Set(l, l, rnd.Uint64())
	time.Sleep(time.Duration(300+rnd.IntN(700)) * time.Millisecond)
	s.link.Set(path.Link{}, path.Link{}, 0)
}

// wound is one thing that goes wrong with a store.
type wound struct {
	name   string
	breaks harm
	do     func(s *store, rnd *rand.Rand)
}

func pause(rnd *rand.Rand) { time.Sleep(time.Duration(50+rnd.IntN(400)) * time.Millisecond) }

var wounds = []wound{
	{"kill redis", allConns, func(s *store, rnd *rand.Rand) {
		s.proc.Stop(syscall.SIGKILL)
		s.start()
	}},
	{"stop and continue redis", harmless, func(s *store, rnd *rand.Rand) {
		s.proc.Signal(syscall.SIGSTOP)
		pause(rnd)
		s.proc.Signal(syscall.SIGCONT)
	}},
	{"kill the broker", harmless, func(s *store, rnd *rand.Rand) {
		s.rig.Broker.Stop(syscall.SIGKILL)
		pause(rnd)
		s.rig.StartBroker()
	}},
	{"to the kernel and back", harmless, func(s *store, rnd *rand.Rand) {
		for range 1 + rnd.IntN(4) {
			for _, way := range []string{"detach", "attach"} {
				_, errs, err := testrig.Try(nil, s.rig.Env(), testrig.Built(s.t, "sluice"), way, fmt.Sprint(s.proc.Pid()))
				require.NoError(s.t, err, errs)
				time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
			}
		}
	}},
	{"interface down and up", unreachable, func(s *store, rnd *rand.Rand) {
		s.ip("link", "set", s.rig.Server.Device, "down")
		pause(rnd)
		s.ip("link", "set", s.rig.Server.Device, "up")
	}},
	{"address removed and added", unreachable, func(s *store, rnd *rand.Rand) {
		addr := s.rig.Server.IPv4.String() + "/24"
		s.ip("addr", "del", addr, "dev", s.rig.Server.Device)
		pause(rnd)
		s.ip("addr", "add", addr, "dev", s.rig.Server.Device)
	}},
	{"MTU 600 and back", harmless, func(s *store, rnd *rand.Rand) {
		s.ip("link", "set", s.rig.Server.Device, "mtu", "600")
		pause(rnd)
		s.ip("link", "set", s.rig.Server.Device, "mtu", "1500")
	}},
	{"neighbours forgotten", harmless, func(s *store, rnd *rand.Rand) {
		s.ip("neigh", "flush", "dev", s.rig.Server.Device)
	}},
	{"no descriptors left", refused, func(s *store, rnd *rand.Rand) { s.limit(rnd, unix.RLIMIT_NOFILE, 12) }},
	{"no memory left to map", refused, func(s *store, rnd *rand.Rand) {
		s.limit(rnd, unix.RLIMIT_AS, addressSpace(s.t, s.proc.Pid())+64<<20)
	}},
	{"loss", harmless, func(s *store, rnd *rand.Rand) { s.worse(rnd, path.Link{Loss: 0.05}) }},
	{"reordering", harmless, func(s *store, rnd *rand.Rand) {
		s.worse(rnd, path.Link{Delay: time.Millisecond, Reorder: 0.2, Hold: 5 * time.Millisecond})
	}},
	{"duplicates", harmless, func(s *store, rnd *rand.Rand) { s.worse(rnd, path.Link{Dup: 0.3}) }},
	{"flipped bits", harmless, func(s *store, rnd *rand.Rand) { s.worse(rnd, path.Link{Corrupt: 0.05}) }},
}

// limit lowers a limit of redis for a while.
func (s *store) limit(rnd *rand.Rand, which int, to uint64) {
	s.t.Helper()
	var old unix.Rlimit
	require.NoError(s.t, unix.Prlimit(s.proc.Pid(), which, nil, &old))
	require.NoError(s.t, unix.Prlimit(s.proc.Pid(), which, &unix.Rlimit{Cur: min(to, old.Max), Max: old.Max}, nil))
	pause(rnd)
	require.NoError(s.t, unix.Prlimit(s.proc.Pid(), which, &old, nil))
}

// addressSpace is how much a process has mapped, in bytes.
func addressSpace(t *testing.T, pid int) uint64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	var pages uint64
	_, err = fmt.Sscan(strings.Fields(string(statm))[0], &pages)
	require.NoError(t, err)
	return pages * uint64(os.Getpagesize())
}

// TestStore: whatever goes wrong, every write that redis acknowledged is there, and nobody reads what was never written.
func TestStore(t *testing.T) {
	n, seed := wanted(t, len(wounds))
	rnd := rand.New(rand.NewPCG(seed, 2))
	s := newStore(t)
	s.whole()
	aside := startBystander(t, s.rig)
	k := startKeepers(s, 6)
	order := rnd.Perm(len(wounds))
	for i := range n {
		w := wounds[order[i%len(order)]]
		if i >= len(order) { // each once, then by chance
			w = wounds[rnd.IntN(len(wounds))]
		}
		where := fmt.Sprintf("seed %d, fault %d, %s", seed, i, w.name)
		began := time.Now()
		time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
		k.now.Store(int32(w.breaks))
		w.do(s, rnd)
		s.whole()
		k.tour()
		k.now.Store(int32(harmless))
		require.Empty(t, k.unexplained(), where)
		t.Logf("%s (%v)", where, time.Since(began).Round(time.Millisecond))
	}
	require.Empty(t, k.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	k.readBack()
	require.Empty(t, k.unexplained())
	require.NotZero(t, k.acknowledged.Load())
	t.Logf("%d faults: %d writes acknowledged, %d read back meanwhile, %d requests failed as explained; the bystander made %d ways, the longest %v",
		n, k.acknowledged.Load(), k.read.Load(), k.excused.Load(), aside.count, aside.slowly)
}

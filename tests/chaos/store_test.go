package chaos

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

const redisPort = 6379

// store is an accelerated redis that acknowledges a write when it is on disk (appendfsync always).
type store struct {
	*stand
	proc *testrig.Proc
	*keepers
}

func newStore(t *testing.T) *store {
	if _, err := os.Stat("/usr/bin/redis-server"); err != nil {
		t.Skip("needs redis-server")
	}
	s := &store{stand: newStand(t, redisPort, 1)}
	s.stand.pids = func() []int { return []int{s.proc.Pid()} }
	s.stand.said = func() string { return s.proc.Output() }
	s.stand.spare = s.purge
	s.much = bytes.Repeat([]byte("GET much\r\n"), 50)
	s.start()
	return s
}

func (s *store) start() {
	dir := filepath.Join(s.rig.Dir, "redis")
	require.NoError(s.t, os.MkdirAll(dir, 0o755))
	s.proc = testrig.Start(s.t, s.rig.Server, s.env(), testrig.Built(s.t, "sluice"), "run", "--", "/usr/bin/redis-server",
		"--bind", s.rig.Server.IPv4.String(), "--protected-mode", "no", "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--logfile", s.log)
}

// whole waits until redis holds its queue and answers.
func (s *store) whole() {
	s.t.Helper()
	s.await("redis to be accelerated", func() error { return s.queuesOf(s.pids()) })
	testrig.Until(s.t, "redis to answer", func() bool {
		c := &keeper{store: s, patience: time.Second}
		defer c.drop()
		_, err := c.ask("PING")
		return err == nil
	})
}

// purge has redis give the memory back that its allocator keeps for later. jemalloc's own thread does so within ten seconds, but it waits by the wall clock: when
// that has jumped, by the kernel's sockets, too, hundreds of MiB of what the deaf had asked for stay for the rest of a run (seed 1).
func (s *store) purge() {
	s.t.Helper()
	c := &keeper{store: s, patience: testrig.Patience}
	defer c.drop()
	_, err := c.ask("MEMORY", "PURGE")
	require.NoError(s.t, err)
}

// rewrites has redis write its log anew, as it does when that has grown: it forks for it, and a process that forks with connections has an epoll set
// more from then on (shim/heirs.c).
func (s *store) rewrites(c *keeper) {
	s.t.Helper()
	_, err := c.ask("BGREWRITEAOF")
	require.NoError(s.t, err)
	s.await("redis to have written its log anew", func() error {
		info, err := c.ask("INFO", "persistence")
		if err == nil && !strings.Contains(info, "aof_rewrite_in_progress:0") {
			err = errors.New(info)
		}
		return err
	})
}

// wounds of redis alone.
func (s *store) wounds() []wound {
	return []wound{
		{"kill redis", allConns, func(*stand, *rand.Rand) {
			s.proc.Stop(syscall.SIGKILL)
			s.start()
		}},
		{"stop and continue redis", harmless, func(_ *stand, rnd *rand.Rand) {
			s.proc.Signal(syscall.SIGSTOP)
			pause(rnd)
			s.proc.Signal(syscall.SIGCONT)
		}},
	}
}

// TestStore: whatever goes wrong, every write that redis acknowledged is there, and nobody reads what was never written.
func TestStore(t *testing.T) {
	sideBySide(t)
	s := newStore(t)
	s.whole()
	aside := startBystander(t, s.rig)
	first := &keeper{store: s, patience: testrig.Patience}
	_, err := first.ask("SET", "much", strings.Repeat("m", 100<<10))
	require.NoError(t, err)
	s.rewrites(first)
	first.drop()
	before := s.vitals()
	k := startKeepers(s, 6)
	s.keepers = k
	rounds(t, redis, s.stand, s, s.wounds())
	require.Empty(t, k.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	k.readBack()
	require.Empty(t, k.unexplained())
	require.NotZero(t, k.acknowledged.Load())
	s.noMoreThan(before)
	t.Logf("%d writes acknowledged, %d read back meanwhile, %d requests failed as explained; the bystander made %d ways, the longest %v",
		k.acknowledged.Load(), k.read.Load(), k.excused.Load(), aside.count, aside.slowly)
}

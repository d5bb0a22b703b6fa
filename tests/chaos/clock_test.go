package chaos

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clock is the CLOCK_REALTIME of the programs of a stand: prog/clock.c.
type clock struct {
	file   *os.File // how far it is off, in nanoseconds
	object string
}

func newClock(t *testing.T, dir string) *clock {
	c := &clock{object: filepath.Join(dir, "clock.so")}
	compile(t, c.object, "prog/clock.c", "-shared", "-fPIC", "-fvisibility=hidden", "-ldl")
	var err error
	c.file, err = os.Create(filepath.Join(dir, "clock"))
	require.NoError(t, err)
	t.Cleanup(func() { c.file.Close() })
	c.set(t, 0)
	return c
}

// compile makes a C program or object.
func compile(t *testing.T, to, from string, flags ...string) {
	t.Helper()
	args := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", to, from}, flags...)
	out, err := exec.Command("gcc", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (c *clock) env() []string {
	return []string{"LD_PRELOAD=" + c.object, "CHAOS_CLOCK=" + c.file.Name()}
}

// set puts the clock forward or back for all programs that run.
func (c *clock) set(t *testing.T, off time.Duration) {
	_, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(off)), 0)
	require.NoError(t, err)
}

// jump sets the clock several times, by up to two days either way.
func (s *stand) jump(rnd *rand.Rand) {
	const most = 48 * time.Hour
	for range 2 + rnd.IntN(4) {
		s.clock.set(s.t, time.Duration(rnd.Int64N(int64(2*most)))-most)
		time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond)
	}
	s.clock.set(s.t, 0)
}

// TestClock: programs have the time that the test says, and others the right one.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	c := newClock(t, dir)
	for _, off := range []time.Duration{0, -time.Hour - time.Millisecond, 40 * 24 * time.Hour} {
		c.set(t, off)
		cmd := exec.Command("date", "+%s%N")
		cmd.Env = append(os.Environ(), c.env()...)
		out, err := cmd.Output()
		require.NoError(t, err)
		var ns int64
		_, err = fmt.Sscan(strings.TrimSpace(string(out)), &ns)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(off), time.Unix(0, ns), time.Minute)
	}
}

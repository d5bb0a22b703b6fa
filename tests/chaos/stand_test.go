package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/testrig"
)

// stand is a rig with an accelerated program behind a link that can be made worse.
type stand struct {
	t    *testing.T
	rig  *testrig.Rig
	link *path.Path
	log  string // a full disk's file, which everything logs to

	clock    *clock
	diary    diary
	crowds   map[int]bool // processes that the deaf were connected to
	relinked time.Time    // the last time
	reborn   atomic.Int64 // when the broker was started again, the last time; nanoseconds
	least    float64      // the smallest share of the packets' memory that was free

	port, queues int
	much         []byte       // what makes the program send a lot to whoever asks
	pids         func() []int // its accelerated processes
	wall         bool         // it times its clients by the wall clock

	spare func()        // has the program give back the memory that it keeps for later; nil: nothing to be told
	said  func() string // what its processes wrote to stderr

	looked sync.Once
	scene  string // at the first moment that was not explained
}

func newStand(t *testing.T, port, queues int) *stand {
	s := &stand{t: t, port: port, queues: queues, least: 1, rig: testrig.New(t, testbed.Config{Queues: queues, Middle: true})}
	var err error
	s.link, err = path.Start(s.rig.Bed, 1500)
	require.NoError(t, err)
	t.Cleanup(s.link.Close)
	s.fullDisk()
	s.clock = newClock(t, s.rig.Dir)
	return s
}

// fullDisk is where the programs' logs go to: nothing of them is ever written.
func (s *stand) fullDisk() {
	dir := filepath.Join(s.rig.Dir, "full")
	require.NoError(s.t, os.Mkdir(dir, 0o755))
	require.NoError(s.t, unix.Mount("none", dir, "tmpfs", 0, "size=8k"))
	s.t.Cleanup(func() { require.NoError(s.t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s.log = filepath.Join(dir, "log")
	require.ErrorIs(s.t, os.WriteFile(s.log, make([]byte, 64<<10), 0o666), unix.ENOSPC)
}

// env is what every program gets; its listener is accelerated.
func (s *stand) env() []string {
	return append(append(s.rig.Env(), s.clock.env()...), fmt.Sprintf("SLUICE_LISTEN=%d", s.port), "SLUICE_LOG="+s.log)
}

func (s *stand) addr() string { return fmt.Sprintf("%s:%d", s.rig.Server.IPv4, s.port) }

// pid is one of the accelerated processes.
func (s *stand) pid(rnd *rand.Rand) int {
	all := s.pids()
	require.NotEmpty(s.t, all)
	return all[rnd.IntN(len(all))]
}

// children are a process' own.
func children(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return strings.Fields(string(text))
}

// byHand is sluice detach or attach. What a child may use stays the kernel's until it has ended (docs/limits.md), as that of redis which writes its log
// anew: then it is tried again.
func (s *stand) byHand(way string, pid int) (errs string, err error) {
	for end := time.Now().Add(testrig.Patience); ; time.Sleep(10 * time.Millisecond) {
		forked := len(children(pid)) > 0
		_, errs, err = testrig.Try(nil, s.rig.Env(), testrig.Built(s.t, "sluice"), way, fmt.Sprint(pid))
		forked = forked || len(children(pid)) > 0
		if err == nil || !forked || !strings.Contains(errs, "perhaps another process's too") || time.Now().After(end) {
			return errs, err
		}
	}
}

// queuesOf says what is missing for these processes, and nobody else, to have the queues.
func (s *stand) queuesOf(pids []int) error {
	st, err := testrig.QueryStatus(s.rig.Socket())
	if err != nil {
		return err
	}
	held := st.QueuesByPID()
	for _, pid := range pids {
		if held[pid] == 0 {
			return fmt.Errorf("process %d has no queue; queues by process %v, refused %v", pid, held, st.Refused)
		}
	}
	if len(held) != len(pids) {
		return fmt.Errorf("not only %v have queues: %v", pids, held)
	}
	return nil
}

// await waits for something, and says what was missing last.
func (s *stand) await(what string, missing func() error) {
	s.t.Helper()
	s.awaitUntil(time.Now().Add(testrig.Patience), what, missing)
}

func (s *stand) awaitUntil(end time.Time, what string, missing func() error) {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		require.True(s.t, time.Now().Before(end), "waited %v in vain for %s: %v", time.Since(began).Round(time.Second), what, err)
	}
}

// clientTime is how long a server waits for a client of which it hears nothing: nginx' client_header_timeout; haproxy is told 30 s.
const clientTime = time.Minute

// drained waits until processes that serve to the last have ended: those too whose clients the kernel has reset while the device had another link address,
// which nobody told the server (docs/limits.md).
func (s *stand) drained(pids ...int) {
	s.t.Helper()
	end := time.Now().Add(testrig.Patience)
	if late := s.relinked.Add(clientTime + testrig.Patience); late.After(end) {
		end = late
	}
	s.awaitUntil(end, "the old workers to end", func() error {
		for _, pid := range pids {
			if testrig.Alive(pid) {
				return fmt.Errorf("%d runs", pid)
			}
		}
		return nil
	})
}

func (s *stand) ip(args ...string) {
	s.t.Helper()
	out, err := s.rig.Server.Run("ip", args...)
	require.NoError(s.t, err, out)
}

// worse makes the link bad for a while.
func (s *stand) worse(rnd *rand.Rand, l path.Link) {
	s.link.Set(l, l, rnd.Uint64())
	time.Sleep(time.Duration(300+rnd.IntN(700)) * time.Millisecond)
	s.link.Set(path.Link{}, path.Link{}, 0)
}

// Limits, by their names in /proc/PID/limits and to prlimit(1).
type limited struct{ is, option string }

var (
	descriptorLimit = limited{"Max open files", "nofile"}
	memoryLimit     = limited{"Max address space", "as"}
	threadLimit     = limited{"Max processes", "nproc"}
)

// limit lowers a limit of a process for a while, as the process' own user: a root without CAP_SYS_RESOURCE may not.
func (s *stand) limit(rnd *rand.Rand, pid int, what limited, to uint64) {
	s.t.Helper()
	old := s.proc(pid, "limits", what.is)[0]
	s.prlimit(pid, what, fmt.Sprint(to))
	pause(rnd)
	s.prlimit(pid, what, old)
}

// proc gives the words behind a name in a file of a process.
func (s *stand) proc(pid int, file, name string) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Fields(rest)
		}
	}
	require.Fail(s.t, "nothing there", name)
	return nil
}

func (s *stand) prlimit(pid int, what limited, soft string) {
	s.t.Helper()
	user := &syscall.Credential{NoSetGroups: true}
	fmt.Sscan(s.proc(pid, "status", "Uid:")[0], &user.Uid)
	fmt.Sscan(s.proc(pid, "status", "Gid:")[0], &user.Gid)
	c := exec.Command("prlimit", "--pid", fmt.Sprint(pid), fmt.Sprintf("--%s=%s:", what.option, soft))
	c.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	out, err := c.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
}

func pause(rnd *rand.Rand) { time.Sleep(time.Duration(50+rnd.IntN(400)) * time.Millisecond) }

// statm is a process' memory, in bytes: what it has mapped, and what of it is there.
func statm(t *testing.T, pid int) (size, resident uint64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	_, err = fmt.Sscan(strings.TrimSpace(string(text)), &size, &resident)
	require.NoError(t, err)
	page := uint64(os.Getpagesize())
	return size * page, resident * page
}

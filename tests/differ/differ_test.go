package differ

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

const (
	quick   = 10  // ms that a call may block
	patient = 150 // the same when a difference is held to be true
	enough  = 20  // differences of one run
)

// way is how a sequence's connections are made, and who serves their other end on the accelerated path.
type way struct {
	accepted bool
	both     bool // the other end, too, is accelerated
}

// rig is both paths of one way of making connections.
type rig struct {
	t *testing.T
	way
	kernel, engine *side
}

// executor compiles the program that executes sequences.
func executor(t *testing.T) (program string) {
	program = filepath.Join(t.TempDir(), "differ")
	sources, err := filepath.Glob("prog/*.c")
	require.NoError(t, err)
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-stringop-overread", "-Wno-nonnull", "-pthread", "-o", program}
	out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

func newRig(t *testing.T, w way, program string) *rig {
	bed := testrig.New(t, testbed.Config{Queues: 1})
	makes, takes := []string{"SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*"}, []string(nil)
	if w.accepted {
		makes, takes = takes, makes
	}
	fast := append(bed.Env(), "LD_PRELOAD="+preload(t))
	env := slices.Concat(fast, makes, extra())
	var peersEnv []string
	if w.both {
		peersEnv = slices.Concat(fast, takes)
	}
	return &rig{t, w, newSide(t, bed, program, "kernel", nil, nil), newSide(t, bed, program, "sluice", env, peersEnv)}
}

// preload is what is under test: another build of the preload object if one is named.
func preload(t *testing.T) string {
	if other := os.Getenv("SLT_DIFFER_PRELOAD"); other != "" {
		return other
	}
	return testrig.Built(t, "libsluice.so")
}

// extra are more variables for the accelerated side, to look into one sequence.
func extra() []string { return strings.Fields(os.Getenv("SLT_DIFFER_ENV")) }

func newSide(t *testing.T, bed *testrig.Rig, program, name string, env, peersEnv []string) *side {
	said, err := os.CreateTemp(bed.Dir, name)
	require.NoError(t, err)
	clean := []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	s := &side{name: name, node: bed.Server, peers: bed.Client, program: program, said: said,
		env: append(slices.Clone(clean), env...), peersEnv: append(slices.Clone(clean), peersEnv...)}
	t.Cleanup(func() {
		s.stop()
		if text, _ := os.ReadFile(said.Name()); t.Failed() && len(text) > 0 {
			t.Logf("%s said:\n%s", name, text)
		}
		said.Close()
	})
	return s
}

// both runs a sequence by both paths at once.
func (r *rig) both(q sequence, patience int) (kernel, engine []string) {
	var wg sync.WaitGroup
	wg.Go(func() { kernel = r.kernel.run(q, patience) })
	wg.Go(func() { engine = r.engine.run(q, patience) })
	wg.Wait()
	return kernel, engine
}

// same compares what both paths gave, a line for each step.
func same(q sequence, kernel, engine []string) bool {
	for i := range max(len(kernel), len(engine)) {
		if i >= len(kernel) || i >= len(engine) || kernel[i] != engine[i] && (i >= len(q.steps) || !loopbackMTU(q.steps[i], engine[i])) {
			return false
		}
	}
	return true
}

// loopbackMTU: an ended connection that went to the kernel has the loopback's MTU (docs/limits.md).
func loopbackMTU(s step, result string) bool {
	return s.name == "getsockopt" && s.args[1] == unix.IPPROTO_IP && s.args[2] == unix.IP_MTU && strings.Contains(result, " value ff")
}

// differs holds a difference to be true if the kernel's results are the same three times, and the engine's never those.
func (r *rig) differs(q sequence) bool {
	var first []string
	for i := range 3 {
		kernel, engine := r.both(q, patient)
		if i == 0 {
			first = kernel
		}
		if !slices.Equal(kernel, first) || same(q, kernel, engine) {
			return false
		}
	}
	return true
}

// likely is differs for shrinking: most tries show nothing, and at once.
func (r *rig) likely(q sequence) bool {
	for _, patience := range []int{quick, quick, patient} {
		if kernel, engine := r.both(q, patience); same(q, kernel, engine) {
			return false
		}
	}
	return true
}

// check runs one sequence; a difference is shrunk and told.
func (r *rig) check(name string, q sequence) bool {
	kernel, engine := r.both(q, quick)
	if same(q, kernel, engine) || !r.differs(q) {
		return true
	}
	if os.Getenv("SLT_DIFFER_WHOLE") == "" {
		q = shrink(q, r.likely)
	}
	r.t.Errorf("%s differs:\n%s", name, r.told(q))
	return false
}

// told is a sequence beside what it gave.
func (r *rig) told(q sequence) string {
	kernel, engine := r.both(q, patient)
	text := strings.Split(strings.TrimSpace(q.text(quick)), "\n")
	var b strings.Builder
	for i, line := range text {
		at := i - 1
		switch {
		case at < 0 || at >= len(q.steps):
			fmt.Fprintf(&b, "%s\n", line)
		case at >= len(kernel) || at >= len(engine):
			fmt.Fprintf(&b, "%-40s # kernel: %q, sluice: %q\n", line, kernel[min(at, len(kernel)):], engine[min(at, len(engine)):])
		case kernel[at] != engine[at]:
			fmt.Fprintf(&b, "%-40s # kernel: %s\n%-40s # sluice: %s\n", line, kernel[at], "", engine[at])
		default:
			fmt.Fprintf(&b, "%-40s # %s\n", line, kernel[at])
		}
	}
	return b.String()
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err)
	return n
}

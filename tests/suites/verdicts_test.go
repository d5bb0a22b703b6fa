package suites

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// verdicts are what became of each test of a suite, by its name.
type verdicts map[string]string

const (
	passed  = "passed"
	failed  = "failed"
	skipped = "skipped"
)

func (v verdicts) of(kind string) (names []string) {
	for name, k := range v {
		if k == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (v verdicts) String() string {
	return fmt.Sprintf("%d passed, %d failed %v, %d skipped", len(v.of(passed)), len(v.of(failed)), v.of(failed), len(v.of(skipped)))
}

// known are tests that may have another verdict, and why.
var known = map[string]string{
	// A hundred ms from the start of the program to its first connection; the engine is loaded in that time.
	"shutdown_eof": "the clock",
	// It connects to a port before somebody listens there, and again. Whether the reset has come by then decides who is told of it: connect, or
	// SO_ERROR, after which connect says ECONNABORTED, as the kernel's does.
	"test.test_asyncio.test_sock_lowlevel.EPollEventLoopTests.test_sock_client_connect_racing":  "the clock",
	"test.test_asyncio.test_sock_lowlevel.PollEventLoopTests.test_sock_client_connect_racing":   "the clock",
	"test.test_asyncio.test_sock_lowlevel.SelectEventLoopTests.test_sock_client_connect_racing": "the clock",
	// It opens connections until no descriptor is left, and is skipped if that comes too early: see docs/limits.md.
	"test.test_selectors.EpollSelectorTestCase.test_above_fd_setsize": "descriptors",
	"test.test_selectors.PollSelectorTestCase.test_above_fd_setsize":  "descriptors",
}

// differences names the tests with another verdict than the kernel's.
func differences(kernel, other verdicts) (names []string) {
	all := maps.Clone(kernel)
	maps.Copy(all, other)
	for name := range all {
		if kernel[name] != other[name] && known[name] == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// suite is a suite or a part of it.
type suite struct {
	run     func(m *mirror, w way, only []string) verdicts // all of it, or at least the tests named by only
	atLeast int                                            // so many pass by the kernel: one that does not start has no differences either
	inside  bool                                           // it makes no connections
}

func (s suite) compare(t *testing.T) {
	kernel := s.once(t, ways[0], nil)
	require.GreaterOrEqual(t, len(kernel.of(passed)), s.atLeast, "by the kernel: %v", kernel)
	for _, w := range ways[1:] {
		t.Run(w.name, func(t *testing.T) { s.same(t, kernel, w) })
	}
}

// same runs the suite one way. A difference counts if it comes again: others' tests have deadlines that a busy machine breaks.
func (s suite) same(t *testing.T, kernel verdicts, w way) {
	got := s.once(t, w, nil)
	left := differences(kernel, got)
	for range 2 {
		if len(left) == 0 {
			return
		}
		t.Logf("other than the kernel's, once more: %s", tell(left, kernel, got))
		again := s.once(t, w, left)
		left = slices.DeleteFunc(left, func(name string) bool { return again[name] == kernel[name] })
	}
	if slices.ContainsFunc(left, func(name string) bool { return kernel[name] == failed }) { // or that of the kernel's run was broken
		again := s.once(t, ways[0], left)
		left = slices.DeleteFunc(left, func(name string) bool { return kernel[name] == failed && got[name] == passed && again[name] == passed })
	}
	require.Empty(t, left, "not the kernel's: %s", tell(left, kernel, got))
}

// A test that fails by the kernel once, on a busy machine, and passes when run again need not fail accelerated.
func TestTheKernelsRunMayBeBroken(t *testing.T) {
	kernels := 0
	suite{inside: true, run: func(_ *mirror, w way, _ []string) verdicts {
		if w.name == "kernel" {
			kernels++
		}
		return verdicts{"always": passed, "deadline": map[bool]string{true: failed, false: passed}[w.name == "kernel" && kernels == 1]}
	}}.compare(t)
	require.Equal(t, 1+len(ways[1:]), kernels)
}

func tell(names []string, kernel, other verdicts) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "\n%s: %q, the kernel's %q", name, other[name], kernel[name])
	}
	return b.String()
}

// once runs the suite in a rig of its own.
func (s suite) once(t *testing.T, w way, only []string) (v verdicts) {
	t.Run("run", func(t *testing.T) {
		m := newMirror(t)
		v = s.run(m, w, only)
		t.Logf("%s: %v", w.name, v)
		if rx, tx := m.Status().Packets(); w.name == "accelerated" && only == nil {
			t.Logf("%d packets came through hidden queues, %d went", rx, tx)
			require.Equal(t, s.inside, rx+tx == 0, "inside: %v", s.inside)
		}
	})
	return v
}

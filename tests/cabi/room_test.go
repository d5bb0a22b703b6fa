package cabi

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is kept for the runtime is had once, whole or in parts, by a process that may map nothing, and again after it was made up for. 12 is ENOMEM.
func TestRoomIsGivenWhenTheKernelRefuses(t *testing.T) {
	program := filepath.Join(t.TempDir(), "room")
	out, err := exec.Command("cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-I../../cabi", "-o", program, "testdata/room.c", "../../cabi/room.c", "-Wl,--wrap=mmap,--wrap=malloc,--wrap=free").CombinedOutput()
	require.NoError(t, err, "%s", out)
	got, err := exec.Command(program).CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(`
nothing kept: 12
keep: 0
keep: 1
an arena: 0
another: 12
to write: 0
to write: 0
to write: 12
what is reserved: 0
keep: 0
keep: 1
at its place: 1
and used: 0
elsewhere: 1
of data: 0
of space: 0
too much: 12
keep: 1
data in what is reserved: 0
data: 0
more: 12
keep: 1
keep: 1
pieces: 16
again: 16`), strings.TrimSpace(string(got)))
}

// `make chaos SEED=31 ONLY=memory`, fault 0, ended haproxy: Go's heap could map no further arena. -10001 is SL_KERNEL: there is no broker.
func TestTheHeapGrowsWhenNothingMoreMayBeMapped(t *testing.T) {
	dir, err := built()
	require.NoError(t, err)
	for range 5 {
		out, err := exec.Command(dir+"/driver", dir+"/engine.so", "grow").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "start -10001\nthe program's: 12\n")
		require.Contains(t, string(out), "grown -10001\n")
	}
}

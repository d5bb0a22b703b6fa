package shim

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestLocksAreTakenInOrder plays programs that fork over an object that keeps account of locks (shim/locks.h): two threads that wait for each other are
// seldom seen, an order that makes them possible always is. So it was with a process that ends while another thread forks, planted here again.
func TestLocksAreTakenInOrder(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	dir := t.TempDir()
	socket := startBroker(t, dir)
	programs, err := filepath.Glob("prog/forks/*.c")
	require.NoError(t, err)
	play := func(t *testing.T, object, source string) string {
		program := filepath.Join(t.TempDir(), "program")
		cc(t, program, source)
		return outputOf(t, exec.Command(program), bed.Server.Start, "SLT_HOST="+bed.Server.IPv4.String(), "SLT_PEER_NS="+bed.Client.Path(), "LD_PRELOAD="+object, "SLUICE_BROKER="+socket)
	}
	sound, planted := withAccounts(t, "", ""), withAccounts(t, "    settle_wait(true); // before the list, as a fork does in another thread\n    list_lock();\n", "    list_lock();\n    settle_wait(true);\n")
	for _, source := range programs {
		t.Run(strings.TrimSuffix(filepath.Base(source), ".c"), func(t *testing.T) {
			require.NotContains(t, play(t, sound, source), "sluice: lock")
		})
	}
	t.Run("planted", func(t *testing.T) {
		require.Contains(t, play(t, planted, "prog/forks/orphans.c"), "sluice: lock")
	})
}

// withAccounts makes the preload object, with a part of heirs.c replaced.
func withAccounts(t *testing.T, part, by string) string {
	dir := t.TempDir()
	require.NoError(t, os.Symlink(built(t, "libsluice_engine.so"), filepath.Join(dir, "libsluice_engine.so")))
	sources, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	const heirs = "../../shim/heirs.c"
	text, err := os.ReadFile(heirs)
	require.NoError(t, err)
	require.Contains(t, string(text), part)
	other := filepath.Join(dir, "heirs.c")
	require.NoError(t, os.WriteFile(other, []byte(strings.Replace(string(text), part, by, 1)), 0o644))
	sources[slices.Index(sources, heirs)] = other
	object := filepath.Join(dir, "libsluice.so")
	cc(t, object, sources[0], append(sources[1:], "-O0", "-iquote", "../../shim", "-DSLUICE_LOCKS", "-fPIC", "-shared", "-Wl,--version-script=../../shim/exports.map", "-Wl,-z,now", "-ldl")...)
	return object
}

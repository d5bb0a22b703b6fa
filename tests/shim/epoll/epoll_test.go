// Package epoll holds what a program sees of epoll, poll, select and blocking calls under the preload object to what it sees
// of the kernel: the same scenarios run both ways, over a stand-in engine, and must print the same.
package epoll

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// rig is a directory with the preload object, the stand-in engine beside it, and the scenarios.
type rig struct {
	dir string
	env []string
}

func build(t *testing.T, flags ...string) rig {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc")
	}
	dir := t.TempDir()
	base := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-pthread"}, flags...)
	object := func(out string, extra []string, globs ...string) {
		args := append(append([]string{}, base...), "-o", filepath.Join(dir, out))
		for _, g := range globs {
			files, err := filepath.Glob(g)
			require.NoError(t, err)
			require.NotEmpty(t, files, g)
			args = append(args, files...)
		}
		msg, err := exec.Command("gcc", append(args, extra...)...).CombinedOutput()
		require.NoError(t, err, "%s", msg)
	}
	object("libsluice.so", []string{"-shared", "-fPIC", "-Wl,--version-script=" + root + "/shim/exports.map", "-ldl"}, root+"/shim/*.c")
	object("libsluice_engine.so", []string{"-shared", "-fPIC"}, "testdata/engine.c")
	object("scenarios", nil, "testdata/rig.c", "testdata/basic.c", "testdata/calls.c", "testdata/threads.c", "testdata/life.c")
	ring := filepath.Join(dir, "ring")
	require.NoError(t, os.WriteFile(ring, make([]byte, 4096), 0o600))
	return rig{dir, append(os.Environ(), "SLT_RING="+ring, "SLUICE_BROKER="+filepath.Join(dir, "none"), "SLUICE_LISTEN=*")}
}

// run prints what a scenario saw, over the kernel or over the stand-in.
func (r rig) run(t *testing.T, accelerated bool, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	addr := "127.0.0.1"
	if accelerated {
		addr = "127.0.0.2"
	}
	cmd := exec.CommandContext(ctx, filepath.Join(r.dir, "scenarios"), append([]string{addr}, args...)...)
	cmd.Env = r.env
	if accelerated {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+filepath.Join(r.dir, "libsluice.so"))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Run(), "%v: %s", args, out.String())
	return out.String()
}

func TestScenariosAsInTheKernel(t *testing.T) {
	r := build(t)
	for _, name := range strings.Fields(r.run(t, false, "list")) {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, r.run(t, false, name), r.run(t, true, name))
		})
	}
}

// The kernel is the model: random calls on four connections must bring the same events in the same calls.
func TestRandomCallsAsInTheKernel(t *testing.T) {
	r := build(t)
	for seed := 1; seed <= 8; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			args := []string{"random", fmt.Sprint(seed), "200"}
			require.Equal(t, r.run(t, false, args...), r.run(t, true, args...))
		})
	}
}

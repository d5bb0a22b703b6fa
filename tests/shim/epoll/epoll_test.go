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
	"sync"
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

var built struct {
	once sync.Once
	dir  string
}

// build compiles everything, once for all tests.
func build(t *testing.T) rig {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc")
	}
	built.once.Do(func() { compile(t, built.dir) })
	return rig{built.dir, append(os.Environ(), "SLUICE_BROKER="+filepath.Join(built.dir, "none"), "SLUICE_LISTEN=*")}
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slt-epoll-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func compile(t *testing.T, dir string) {
	t.Helper()
	base := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O0", "-g", "-Wall", "-Wextra", "-pthread"}
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
	object("scenarios", nil, "testdata/rig.c", "testdata/basic.c", "testdata/calls.c", "testdata/threads.c", "testdata/life.c", "testdata/edges.c")
}

// ring makes the file by which a scenario tells the stand-in of packets.
func (r rig) ring(t *testing.T) string {
	f, err := os.CreateTemp(r.dir, "ring")
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(4096))
	return "SLT_RING=" + f.Name()
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
	cmd.Env = append(r.env[:len(r.env):len(r.env)], r.ring(t))
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
			t.Parallel()
			require.Equal(t, r.run(t, false, name), r.run(t, true, name))
		})
	}
}

// The kernel is the model: random calls on four connections must bring the same events in the same calls.
func TestRandomCallsAsInTheKernel(t *testing.T) {
	r := build(t)
	for seed := 1; seed <= 30; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := r
			args := []string{"random", fmt.Sprint(seed), "200"}
			kernel := r.run(t, false, args...)
			require.Equal(t, kernel, r.run(t, true, args...))
			if seed <= 5 {
				r.env = append(r.env[:len(r.env):len(r.env)], "SLUICE_FAST=none")
				require.Equal(t, kernel, r.run(t, true, args...), "without short cuts")
			}
		})
	}
}

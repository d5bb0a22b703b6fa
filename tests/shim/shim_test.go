package shim

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var root, _ = filepath.Abs("../..")

// offset is how much higher the stand-in serves a listener.
const offset = "10000"

// build makes the preload object, and beside a copy of it the stand-in under the engine's name.
func build(t *testing.T) (preload, programs string) {
	t.Helper()
	dir := t.TempDir()
	run(t, exec.Command("make", "-s", "-C", root, "build/libsluice.so"))
	preload = filepath.Join(dir, "libsluice.so")
	data, err := os.ReadFile(filepath.Join(root, "build/libsluice.so"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(preload, data, 0o755))
	cc(t, filepath.Join(dir, "libsluice_engine.so"), "standin/standin.c", "-fPIC", "-shared", "-fvisibility=hidden")
	return preload, dir
}

func cc(t *testing.T, out, source string, flags ...string) {
	t.Helper()
	args := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-stringop-overread", "-pthread", "-o", out, source}, flags...)
	run(t, exec.Command("gcc", args...))
}

func run(t *testing.T, c *exec.Cmd) {
	t.Helper()
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s\n%s", c, out)
}

// output runs a program with the given additions to a clean environment.
func output(t *testing.T, program string, env ...string) string {
	t.Helper()
	return outputOf(t, exec.Command(program), (*exec.Cmd).Start, env...)
}

func outputOf(t *testing.T, c *exec.Cmd, start func(*exec.Cmd) error, env ...string) string {
	t.Helper()
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children end with it
	c.WaitDelay = 15 * time.Second
	var buf bytes.Buffer
	c.Stdout, c.Stderr = &buf, &buf
	require.NoError(t, start(c))
	defer func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }()
	timer := time.AfterFunc(2*time.Minute, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	err, out := c.Wait(), buf.String()
	require.NoError(t, err, "%s %s\n%s", env, c.Path, out)
	return out
}

// TestPrograms runs each small program by the kernel, under the preload with nothing selected, and with every connection
// in the (stand-in) engine: they must see the same.
func TestPrograms(t *testing.T) {
	preload, dir := build(t)
	sources, err := filepath.Glob("prog/*.c")
	require.NoError(t, err)
	require.NotEmpty(t, sources)
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(dir, name)
			log := filepath.Join(t.TempDir(), "standin.log")
			cc(t, program, source)
			kernel := output(t, program)
			require.NotContains(t, kernel, "failed:")
			t.Run("nothing selected", func(t *testing.T) {
				require.Equal(t, kernel, output(t, program, "LD_PRELOAD="+preload, "SLUICE_LISTEN=none", "SLT_STANDIN_LOG="+log))
				require.NoFileExists(t, log, "an engine was loaded")
			})
			t.Run("accelerated", func(t *testing.T) {
				require.Equal(t, kernel, output(t, program, "LD_PRELOAD="+preload, "SLUICE_BROKER=/nonexistent", "SLT_OFFSET="+offset, "SLT_STANDIN_LOG="+log))
				said, err := os.ReadFile(log)
				require.NoError(t, err)
				require.Contains(t, string(said), "accept\n", "no connection went through the engine")
				require.True(t, name != "batch" || strings.Contains(string(said), "several\n"), "answers of a batch enter the engine at once")
			})
			t.Run("without short cuts", func(t *testing.T) {
				require.Equal(t, kernel, output(t, program, "LD_PRELOAD="+preload, "SLUICE_FAST=none", "SLUICE_BROKER=/nonexistent", "SLT_OFFSET="+offset))
			})
			t.Run("both ends accelerated", func(t *testing.T) {
				require.Equal(t, kernel, output(t, program, "LD_PRELOAD="+preload, "SLUICE_BROKER=/nonexistent", "SLUICE_CONNECT=*:*", "SLT_OFFSET="+offset, "SLT_STANDIN_LOG="+log))
				said, err := os.ReadFile(log)
				require.NoError(t, err)
				require.Contains(t, string(said), "connect\n", "no connection was made by the engine")
			})
		})
	}
}

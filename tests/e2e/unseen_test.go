package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// A program whose calls the preload object cannot see runs all the same, and `sluice run` says so in one line.
func TestRunTellsWhatItCannotSee(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a program of another user's")
	}
	dir := t.TempDir()
	main, ring := dir+"/main.c", dir+"/ring.c"
	require.NoError(t, os.WriteFile(main, []byte("int main(void) { return 7; }\n"), 0o644))
	require.NoError(t, os.WriteFile(ring, []byte("int io_uring_queue_init(void) { return 0; }\n"), 0o644))
	cc := func(args ...string) {
		out, err := exec.Command("cc", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	cc("-o", dir+"/plain", main)
	cc("-static", "-o", dir+"/static", main)
	cc("-shared", "-fPIC", "-Wl,-soname,liburing.so.2", "-o", dir+"/liburing.so", ring)
	require.NoError(t, os.Symlink("liburing.so", dir+"/liburing.so.2"))
	cc("-Wl,--no-as-needed", "-o", dir+"/uring", main, "-L"+dir, "-luring", "-Wl,-rpath,"+dir)
	cc("-o", dir+"/setuid", main)
	require.NoError(t, os.Chown(dir+"/setuid", 65534, 65534))
	require.NoError(t, os.Chmod(dir+"/setuid", 0o755|os.ModeSetuid))
	cc("-o", dir+"/setgid", main)
	require.NoError(t, os.Chown(dir+"/setgid", 0, 65534))
	require.NoError(t, os.Chmod(dir+"/setgid", 0o755|os.ModeSetgid))
	script := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	script("script", "#!/bin/sh\nexit 7\n")
	script("go-script", "#!"+testrig.Built(t, "sluice")+"\n")
	script("static-script", "#!/usr/bin/env static\n")
	script("script-script", "#!"+dir+"/static-script\n")
	script("setuid-script", "#!"+dir+"/setuid\n")

	for name, want := range map[string]string{
		"plain": "", "script": "", "static": "linked statically", "uring": "io_uring", "setuid": "set-user-ID", "setgid": "set-group-ID",
		"go-script": "Go program", "static-script": "linked statically", "script-script": "linked statically", "setuid-script": "set-user-ID",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(testrig.Built(t, "sluice"), "run", "--broker", dir+"/none", "--", name)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			var said strings.Builder
			cmd.Stderr = &said
			err := cmd.Run()
			if name != "go-script" {
				require.Equal(t, 7, cmd.ProcessState.ExitCode(), "%v %s", err, said.String())
			}
			line := "sluice: " + name + ": not accelerated, the kernel serves it: "
			if name == "uring" { // its other calls are seen
				line = "sluice: uring: what it does by io_uring is not accelerated, the kernel serves that: "
			}
			require.Equal(t, want != "", strings.Contains(said.String(), line), said.String())
			require.Contains(t, said.String(), want)
			require.LessOrEqual(t, strings.Count(said.String(), line), 1)
		})
	}
}

package differ

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// TestUndefinedBehaviour plays the sequences that once differed, and a few random ones, over the preload object built with UBSan, its engine beside it.
// Undefined behaviour traps, as a host program has no runtime for reports. (`make sanitize` runs more.)
func TestUndefinedBehaviour(t *testing.T) {
	sanitized(t, "", "-O0", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
}

// TestAddresses is the same with ASan, whose runtime is loaded first. A wrong access ends the program with a report. To forbid core files
// the runtime would call setrlimit, which is ours, before it is ready for our code.
func TestAddresses(t *testing.T) {
	t.Setenv("SLT_DIFFER_ENV", "ASAN_OPTIONS=disable_coredump=0:detect_leaks=0:handle_segv=0:allow_user_segv_handler=1")
	sanitized(t, library(t, "libasan.so"), "-O1", "-fsanitize=address")
}

// library is the path of a library of the compiler's.
func library(t *testing.T, name string) string {
	out, err := exec.Command("gcc", "-print-file-name="+name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out)) + " "
}

func sanitized(t *testing.T, before string, flags ...string) {
	if os.Getenv("SLT_DIFFER_PRELOAD") != "" {
		t.Skip("another preload object is under test")
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink(testrig.Built(t, "libsluice_engine.so"), filepath.Join(dir, "libsluice_engine.so")))
	sources, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	object := filepath.Join(dir, "libsluice.so")
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-g", "-Wall", "-pthread", "-shared", "-DSLUICE_LOCKS", "-o", object, "-Wl,--version-script=../../shim/exports.map", "-Wl,-z,now"}
	out, err := exec.Command("gcc", slices.Concat(args, flags, sources, []string{"-ldl"})...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv("SLT_DIFFER_PRELOAD", before+object)
	if os.Getenv("SLT_DIFFER") == "" {
		t.Setenv("SLT_DIFFER", "20")
	}
	play(t, way{accepted: true})
}

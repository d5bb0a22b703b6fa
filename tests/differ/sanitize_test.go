package differ

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// TestUndefinedBehaviour plays the sequences that once differed, and a few random ones, over the preload object built with UBSan, its engine beside it.
// Undefined behaviour traps, as a host program has no runtime for reports. (`make sanitize` runs more, and ASan.)
func TestUndefinedBehaviour(t *testing.T) {
	if os.Getenv("SLT_DIFFER_PRELOAD") != "" {
		t.Skip("another preload object is under test")
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink(testrig.Built(t, "libsluice_engine.so"), filepath.Join(dir, "libsluice_engine.so")))
	sources, err := filepath.Glob("../../shim/*.c")
	require.NoError(t, err)
	object := filepath.Join(dir, "libsluice.so")
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-O0", "-g", "-Wall", "-pthread", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
		"-shared", "-o", object, "-Wl,--version-script=../../shim/exports.map", "-Wl,-z,now"}
	out, err := exec.Command("gcc", slices.Concat(args, sources, []string{"-ldl"})...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv("SLT_DIFFER_PRELOAD", object)
	if os.Getenv("SLT_DIFFER") == "" {
		t.Setenv("SLT_DIFFER", "20")
	}
	play(t, way{accepted: true})
}

package shim

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhenToSpin: a thread whose waits are short more often than not spins, and another sleeps at once.
func TestWhenToSpin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "spin")
	cc(t, program, "spin/spin.c")
	out, err := exec.Command(program).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

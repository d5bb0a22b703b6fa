package shim

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUpgradePassesThePreload: who inherits a selected listener gets the preload object and the knobs, also through an
// environment made from scratch; every other environment arrives as it was given.
func TestUpgradePassesThePreload(t *testing.T) {
	preload, dir := build(t)
	program := filepath.Join(dir, "upgrade")
	cc(t, program, "upgrade/upgrade.c")
	with := []string{"LD_PRELOAD=" + preload, "SLUICE_BROKER=/nonexistent", "SLUICE_SPIN_USEC=7"}
	for _, c := range []struct {
		name, how string
		env       []string
		want      string
	}{
		{"inherited", "kept", with, "NGINX=5;\n" + with[0] + "\n" + with[1] + "\n" + with[2] + "\n"},
		{"closed by exec", "cloexec", with, "NGINX=5;\n"},
		{"an LD_PRELOAD of its own", "own", with, "NGINX=5;\nLD_PRELOAD=\n"},
		{"not selected", "kept", append([]string{"SLUICE_LISTEN=none"}, with...), "NGINX=5;\n"},
		{"switched off", "kept", append([]string{"SLUICE=off"}, with...), "NGINX=5;\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program, c.how)
			cmd.Env = c.env
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, c.want, string(out))
		})
	}
}

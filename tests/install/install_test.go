// Package install tests what `make install` and the Debian package put on a host.
package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

func deb(t *testing.T) string {
	built := t.TempDir()
	for _, f := range []string{"sluice", "libsluice.so", "libsluice_engine.so"} {
		require.NoError(t, os.Symlink(testrig.Built(t, f), filepath.Join(built, f)))
	}
	return strings.TrimSpace(output(t, nil, "../../packaging/deb", built, "0.1"))
}

// The package goes into a system of its own, the command there finds its preload object and runs a program, and nothing is left when the
// package goes.
func TestDebianPackage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("dpkg needs root")
	}
	pkg, root := deb(t), t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/lib/dpkg/updates"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	// The new system has no libc and no shell, so nothing is depended on and no script runs.
	dpkg := func(args ...string) string {
		return output(t, nil, "dpkg", append([]string{"--root=" + root, "--force-depends", "--force-script-chrootless", "--log=/dev/null"}, args...)...)
	}
	dpkg("--install", pkg)
	listed := dpkg("--listfiles", "sluice")
	for _, f := range []string{"/usr/bin/sluice", "/usr/lib/sluice/libsluice.so", "/usr/lib/sluice/libsluice_engine.so", "/usr/lib/systemd/system/sluice.service", "/usr/share/doc/sluice/policy.yaml"} {
		require.Contains(t, listed, f+"\n")
		require.FileExists(t, filepath.Join(root, f))
	}
	out := output(t, []string{"SLUICE=off"}, filepath.Join(root, "usr/bin/sluice"), "run", "--", "/bin/sh", "-c", `echo "$LD_PRELOAD"`)
	require.Equal(t, filepath.Join(root, "usr/lib/sluice/libsluice.so")+"\n", out)
	dpkg("--purge", "sluice")
	require.NoDirExists(t, filepath.Join(root, "usr/lib/sluice"))
	require.NoFileExists(t, filepath.Join(root, "usr/bin/sluice"))
}

func TestUnitIsOne(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here")
	}
	unit, err := os.ReadFile("../../packaging/sluice.service")
	require.NoError(t, err)
	// The program it names must be there for the check.
	text := strings.Replace(string(unit), "/usr/bin/sluice", testrig.Built(t, "sluice"), 1)
	file := filepath.Join(t.TempDir(), "sluice.service")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	out := output(t, nil, path, "verify", "--man=no", file)
	for _, line := range strings.Split(out, "\n") {
		require.NotContains(t, line, "sluice.service", out)
	}
}

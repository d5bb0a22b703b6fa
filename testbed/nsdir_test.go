package testbed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What is named in the directory stays visible, whoever makes it a mount point, and however often.
func TestDirectoryOfNamesIsAMountOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := filepath.Join(t.TempDir(), "netns")
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	require.NoError(t, prepareDir(dir))
	name := filepath.Join(dir, "name")
	require.NoError(t, os.WriteFile(name, nil, 0o444))
	require.NoError(t, prepareDir(dir))
	require.FileExists(t, name)
	require.NoError(t, unix.Unmount(dir, 0), "mounted")
	require.Error(t, unix.Unmount(dir, 0), "mounted once")
	require.FileExists(t, name, "the mount shows the directory itself")
}

package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/knobs"
)

const (
	root     = ".."
	maxLines = 500 // of a file: past that it is more than one idea
)

// files lists the tree's files with one of the extensions.
func files(t *testing.T, exts ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "build" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		for _, ext := range exts {
			if strings.HasSuffix(path, ext) {
				found = append(found, path)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func TestFilesAreShort(t *testing.T) {
	for _, path := range files(t, ".go", ".c", ".h") {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if n := strings.Count(string(data), "\n"); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
	}
}

// The README's knob table is the table itself.
func TestReadmeHasTheKnobTable(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	var want strings.Builder
	want.WriteString("| variable | default | what it does |\n|---|---|---|\n")
	for _, k := range knobs.Table {
		want.WriteString("| `" + k.Name + "` | `" + k.Default + "` | " + k.Doc + " |\n")
	}
	require.Contains(t, string(data), want.String())
}

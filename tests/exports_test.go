package tests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What leaves the two shared objects is what their version scripts and the committed lists say: one name too few and a call goes
// past the preload object, one too many and the program may bind to it by accident.
func TestExports(t *testing.T) {
	for _, c := range []struct{ object, script, list string }{
		{"build/libsluice.so", "shim/exports.map", "testdata/exports_shim.txt"},
		{"build/libsluice_engine.so", "cabi/exports.map", "testdata/exports_engine.txt"},
	} {
		data, err := os.ReadFile(c.list)
		require.NoError(t, err)
		list := strings.Fields(string(data))
		require.True(t, slices.IsSorted(list), "%s is not sorted", c.list)
		require.Equal(t, list, exported(t, filepath.Join(root, c.object)), "%s against %s", c.object, c.list)
		require.Equal(t, list, scripted(t, filepath.Join(root, c.script)), "%s against %s", c.script, c.list)
	}
}

// Whatever other public name libc has for a function that is interposed is interposed, too.
func TestSecondNames(t *testing.T) {
	data, err := os.ReadFile("testdata/exports_shim.txt")
	require.NoError(t, err)
	ours := strings.Fields(string(data))
	libc, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	require.NoError(t, err)
	out, err := exec.Command("nm", "-D", "--defined-only", strings.TrimSpace(string(libc))).Output()
	require.NoError(t, err)
	at := map[string][]string{} // by address
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if name, version, _ := strings.Cut(f[2], "@"); f[1] != "A" && !strings.HasSuffix(version, "GLIBC_PRIVATE") {
			at[f[0]] = append(at[f[0]], name)
		}
	}
	found := 0
	for _, names := range at {
		if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(ours, n) }) {
			continue
		}
		found++
		for _, n := range names {
			require.Contains(t, ours, n, "%v are one function", names)
		}
	}
	require.Greater(t, found, 80)
}

func exported(t *testing.T, object string) []string {
	t.Helper()
	out, err := exec.Command("nm", "-D", "--defined-only", object).Output()
	require.NoError(t, err, "nm %s: run make first", object)
	var names []string
	for line := range strings.Lines(string(out)) {
		names = append(names, strings.Fields(line)[2])
	}
	slices.Sort(names)
	return names
}

var comment = regexp.MustCompile(`(?s)/\*.*?\*/`)

// scripted reads the names of a version script's global part.
func scripted(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := comment.ReplaceAllString(string(data), "")
	_, text, ok := strings.Cut(text, "global:")
	require.True(t, ok, path)
	text, _, ok = strings.Cut(text, "local:")
	require.True(t, ok, path)
	var names []string
	for name := range strings.SplitSeq(text, ";") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

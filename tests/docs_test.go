package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/tcp.md names a test for each rule: each must be there. "TestBBR*" stands for all that begin so.
func TestTestsThatTheTCPTableNamesExist(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "tcp.md"))
	require.NoError(t, err)
	var have []string
	decl := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	for _, path := range files(t, "_test.go") {
		src, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range decl.FindAllStringSubmatch(string(src), -1) {
			have = append(have, m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*\*?`).FindAllString(string(doc), -1) {
		prefix, any := strings.CutSuffix(name, "*")
		found := false
		for _, h := range have {
			found = found || h == name || any && strings.HasPrefix(h, prefix)
		}
		if !found {
			t.Errorf("docs/tcp.md names %s, which no file has", name)
		}
	}
}

// docs/testing.md lists every fuzz target beside its package, with the date of its last run.
func TestFuzzTargetsAreListed(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "testing.md"))
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/0-9]+)` (Fuzz\\w+) \\|.*\\| \\d+ \\w+ 20\\d\\d").FindAllStringSubmatch(string(doc), -1) {
		listed[row[1]+" "+row[2]] = true
	}
	decl := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, path := range files(t, "_test.go") {
		src, err := os.ReadFile(path)
		require.NoError(t, err)
		dir, err := filepath.Rel(root, filepath.Dir(path))
		require.NoError(t, err)
		for _, m := range decl.FindAllStringSubmatch(string(src), -1) {
			name := dir + " " + m[1]
			require.True(t, listed[name], "docs/testing.md has no row for %s", name)
			delete(listed, name)
		}
	}
	require.Empty(t, listed, "docs/testing.md lists what is not there")
}

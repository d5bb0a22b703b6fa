package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	row    = regexp.MustCompile("^\\| (`[^|]*`) \\| ([^|]*) \\|")
	quoted = regexp.MustCompile("`([^`]*)`")
)

// docs/calls.md tells of each interposed name once what becomes of the call, and of no other.
func TestCallsAreDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs/calls.md"))
	require.NoError(t, err)
	var names []string
	for line := range strings.Lines(string(data)) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		require.Contains(t, []string{"accelerated", "handed over", "kernel"}, m[2], "%s", line)
		for _, q := range quoted.FindAllStringSubmatch(m[1], -1) {
			names = append(names, q[1])
		}
	}
	slices.Sort(names)
	list, err := os.ReadFile("testdata/exports_shim.txt")
	require.NoError(t, err)
	require.Equal(t, strings.Fields(string(list)), names)
}

package shim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Go's runtime ends its process when it cannot begin a thread: `make chaos SEED=115`, fault 48, took an nginx worker along, with no memory left to map, and
// SEED=1, fault 7, another that could begin no thread. Threads that were made ahead are lent then, and made up for later.
func TestTheEngineHasThreadsWhenNoneCanBeMade(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the kernel counts threads of other users only")
	}
	preload, dir := build(t)
	program := filepath.Join(dir, "spare")
	cc(t, program, "spare/spare.c")
	got := output(t, program, "LD_PRELOAD="+preload, "SLUICE_BROKER=/nonexistent", "SLT_OFFSET="+offset, "SLT_THREADS=1")
	require.Equal(t, "while it may: 0\nthe program's own: EAGAIN\n"+strings.Repeat("while it may not: 0\n", 4)+strings.Repeat("again: 0\n", 2)+strings.Repeat("not again: 0\n", 4), got)
}

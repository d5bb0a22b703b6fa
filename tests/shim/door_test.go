package shim

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestABrokerIsAskedThroughSignals: a handler of the program's without SA_RESTART ends no wait for the broker, nor makes it shorter.
func TestABrokerIsAskedThroughSignals(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "door")
	withParts(t, program, "door/door.c")
	require.Equal(t, "slow to accept: it came\nslow to read: it came\na successor: it came\n", output(t, program, "SLUICE_BROKER="+filepath.Join(dir, "broker.sock")))
}

package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/broker/proto"
)

// The preload object says hello to the broker by itself where a child has no engine: in the version that the Go side speaks.
func TestOneVersionOfTheProtocol(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "shim", "door.c"))
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf(`\"op\":\"hello\",\"body\":{\"version\":%d,`, proto.Version))
}

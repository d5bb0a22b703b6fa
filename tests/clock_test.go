package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wall reads the clock that jumps when somebody sets it.
var wall = regexp.MustCompile(`clock_\w+\(CLOCK_REALTIME|gettimeofday\(|\btime\((NULL|0|&)|\.Unix(Nano|Micro|Milli)?\(\)|\.Round\(0\)`)

// wallClocks are who may: it stands in what people read, and nothing waits for it.
var wallClocks = map[string]string{
	"cabi/engine/mirror.go": "time stamps of captured packets, and of packets for SO_TIMESTAMP",
}

// TestNoWallClock: when the machine's clock jumps nothing of the data path is early or late. (Go's time.Now has the monotonic clock in it, which Before,
// After, Sub and timers use.)
func TestNoWallClock(t *testing.T) {
	for _, dir := range []string{"shim", "cabi", "ustack", "efvi", "afxdp", "fallback"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || (ext != ".c" && ext != ".h" && ext != ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/examples/") {
				return err
			}
			text, err := os.ReadFile(path)
			name, _ := filepath.Rel("..", path)
			if found := wall.FindString(string(text)); found != "" && wallClocks[name] == "" {
				t.Errorf("%s: %s", name, found)
			}
			return err
		}))
	}
}

package sim

import (
	_ "embed"
	"flag"
	"fmt"
	"hash/crc64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

//go:embed testdata/golden
var golden []byte

// TestGolden holds the traces of some seeds against those of another machine at another time. What a stack sends changes with
// the stack, so the table says which stack it is of, by a hash of its source; of any other one only the plans are compared.
// go test ./tests/sim -run TestGolden -update writes it anew.
func TestGolden(t *testing.T) {
	var have strings.Builder
	fmt.Fprintf(&have, "stack %016x\n", sourceHash(t))
	for seed := uint64(1); seed <= 24; seed++ {
		p := drawPlan(seed)
		fmt.Fprintf(&have, "%d %016x %016x\n", seed, crc64.Checksum([]byte(p.String()), crcTable), p.run().trace)
	}
	if *update {
		head := "# Seeds, the hash of the plan of each, and the hash of all packets of its run: see TestGolden.\n"
		require.NoError(t, os.WriteFile("testdata/golden", []byte(head+have.String()), 0o644))
		return
	}
	same := true
	n := 0
	mine := strings.Split(have.String(), "\n")
	for line := range lines(golden) {
		if n == 0 {
			if same = line == mine[0]; !same {
				t.Log("the table is of another stack: only the plans are compared")
			}
		} else if same {
			require.Equal(t, line, mine[n])
		} else {
			require.Equal(t, strings.Fields(line)[:2], strings.Fields(mine[n])[:2], "seed and plan")
		}
		n++
	}
	require.Equal(t, 25, n)
}

// sourceHash names the stack that is tested, and the rules that say what is done to it.
func sourceHash(t *testing.T) (h uint64) {
	for _, glob := range []string{"../../ustack/*.go", "../../ustack/*/*.go", "*_test.go"} {
		files, err := filepath.Glob(glob)
		require.NoError(t, err)
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") != (glob == "*_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			h = crc64.Update(h, crcTable, b)
		}
	}
	return h
}

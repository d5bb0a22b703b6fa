package sim

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seeds are plans that failed once: a line each, a seed or a whole shrunk plan, below a comment that says what was found.
//
//go:embed testdata/seeds
var seeds []byte

// TestSeeds plays them all.
func TestSeeds(t *testing.T) {
	n := 0
	for line := range lines(seeds) {
		n++
		p := new(plan)
		if seed, err := strconv.ParseUint(line, 10, 64); err == nil {
			p = drawPlan(seed)
		} else {
			require.NoError(t, json.Unmarshal([]byte(line), p), line)
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, p.run().err, line)
		})
	}
	require.Positive(t, n)
}

// lines are those that are no comment and not empty.
func lines(b []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if line != "" && line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}

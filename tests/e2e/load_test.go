package e2e

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// loadRun is a load generator at work.
type loadRun struct {
	*testrig.Proc
	stdin io.WriteCloser
}

// startLoad requests pages over n connections from the client's namespace
// until finish.
func startLoad(t *testing.T, r *rig, addr, mode string, n int) *loadRun {
	t.Helper()
	return startLoadIn(t, r.Client, addr, mode, n)
}

func startLoadIn(t *testing.T, node *testbed.Node, addr, mode string, n int) *loadRun {
	t.Helper()
	rd, w, err := os.Pipe()
	require.NoError(t, err)
	l := &loadRun{stdin: w}
	l.Proc = startRole(t, node, rd, "load", addr, mode, strconv.Itoa(n))
	rd.Close()
	t.Cleanup(func() { w.Close() })
	return l
}

// finish ends the load and returns its result.
func (l *loadRun) finish() loadResult {
	l.T.Helper()
	l.stdin.Close()
	require.NoError(l.T, l.Wait(2*testrig.Patience), l.Output())
	var res loadResult
	text := l.Output()
	require.NoError(l.T, json.Unmarshal([]byte(text[strings.Index(text, "{"):]), &res), text)
	return res
}

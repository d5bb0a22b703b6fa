package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// built is the directory of what `make` builds.
func built(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	dir, err := filepath.Abs("../build")
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(dir, "pingpong"))
	require.NoError(t, err, "run make first")
	return dir
}

// Two works for one short round: the files are there and whole, and what is called accelerated went by the engines. How fast it
// was is no matter for a test.
func TestShortRunIsWholeAndReallyAccelerated(t *testing.T) {
	var out, progress bytes.Buffer
	dir := t.TempDir()
	cfg := Config{Rounds: 1, Seconds: 0.5, Only: []string{"connect-close", "nginx-keep"}, Bin: built(t), Out: dir}
	require.NoError(t, Run(context.Background(), cfg, &out, &progress), "%s", &progress)

	var rep Report
	text, err := os.ReadFile(filepath.Join(dir, jsonName))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &rep))
	require.Len(t, rep.Works, 2)
	for _, w := range rep.Works {
		require.Empty(t, w.LeftOut)
		require.Len(t, w.Variants, 3)
		require.NotEmpty(t, w.Verdicts)
		for i, path := range []Path{Kernel, Server, Both} {
			requireOnPath(t, w.Variants[i], path)
			requireHistogram(t, w.Variants[i])
		}
	}
	requirePage(t, filepath.Join(dir, htmlName))
	require.Contains(t, out.String(), "targets:")
	require.NoError(t, testbed.WaitClean(bedtest.CleanLimit))
}

func requireOnPath(t *testing.T, v *VariantResult, path Path) {
	t.Helper()
	require.Len(t, v.Samples, 1)
	s := v.Samples[0]
	if path.fastClient() {
		// A client that connects at once may find its queues still on their way, and a slow machine makes few connections.
		require.Greater(t, s.Opens.ClientEngine, s.Opens.ClientKernel, v.Name)
	} else {
		require.Empty(t, s.Wrong, v.Name)
	}
	require.NotZero(t, s.Rate)
	require.NotZero(t, s.Count)
	require.LessOrEqual(t, s.Opens.ServerEngine+s.Opens.ServerKernel, s.Opens.ClientEngine+s.Opens.ClientKernel+1, "nobody else connects")
	if path.fastServer() {
		require.NotZero(t, s.Opens.ServerEngine)
		require.GreaterOrEqual(t, s.Packets, 2*s.Opens.ServerEngine)
	} else {
		require.Zero(t, s.Opens.ServerEngine)
		require.Zero(t, s.Packets)
	}
}

func requireHistogram(t *testing.T, v *VariantResult) {
	t.Helper()
	h, err := hdrhistogram.Decode([]byte(v.Histogram))
	require.NoError(t, err)
	require.Equal(t, v.Samples[0].Latency.N, h.TotalCount())
	require.NotEmpty(t, v.CDF)
	require.InDelta(t, 1, v.CDF[len(v.CDF)-1][1], 1e-9)
}

// requirePage fails if the page asks for anything besides itself, or does not hold the report.
func requirePage(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), `id="data">`)
	require.True(t, ok)
	data, _, ok := strings.Cut(rest, "</script>")
	require.True(t, ok)
	var rep Report
	require.NoError(t, json.Unmarshal([]byte(data), &rep))
	page := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "") // a name, not an address
	for _, outside := range []string{"http://", "https://", " src=", "<link", "@import", "fetch(", "url("} {
		require.NotContains(t, page, outside)
	}
}

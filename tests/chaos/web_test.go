package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wanted is how many faults a run has, and the seed of its choices.
func wanted(t *testing.T, short int) (faults int, seed uint64) {
	faults, seed = short, 1
	var err error
	if s := os.Getenv("SLT_CHAOS"); s != "" {
		faults, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	if s := os.Getenv("SLT_CHAOS_SEED"); s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	return faults, seed
}

func TestWebServer(t *testing.T) {
	n, seed := wanted(t, len(faults))
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := newHost(t)
	h.whole()
	page, err := os.ReadFile(filepath.Join(h.site.Root(), "index.html"))
	require.NoError(t, err)
	aside := startBystander(t, h.rig)
	l := startLoad(h.rig.Client, fmt.Sprintf("%s:%d", h.rig.Server.IPv4, webPort), page, 8)
	order := rnd.Perm(len(faults))
	for i := range n {
		f := faults[order[i%len(order)]]
		if i >= len(order) { // each once, then by chance
			f = faults[rnd.IntN(len(faults))]
		}
		play(t, h, l, f, rnd, fmt.Sprintf("seed %d, fault %d, %s", seed, i, f.name))
	}
	require.Empty(t, l.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	require.NotZero(t, l.answered.Load())
	t.Logf("%d faults: %d pages, %d requests failed as explained; the bystander made %d ways, the longest %v",
		n, l.answered.Load(), l.excused.Load(), aside.count, aside.slowly)
}

// play lets one thing go wrong, and waits until all is well again. The fault explains what happens until a moment after that: an error that
// was on its way is still its own.
func play(t *testing.T, h *host, l *load, f fault, rnd *rand.Rand, where string) {
	t.Helper()
	time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
	l.explain(f.breaks)
	f.do(h, rnd)
	h.whole()
	time.Sleep(100 * time.Millisecond)
	l.explain(harmless)
	require.Empty(t, l.unexplained(), where)
	t.Log(where)
}

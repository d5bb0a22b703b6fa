package chaos

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// site is nginx and its clients.
type site struct {
	*host
	*load
}

func (s *site) tour() { time.Sleep(100 * time.Millisecond) } // an error that was on its way is still the fault's own

// TestWebServer: whatever goes wrong, clients of nginx see the errors that it explains, and no other.
func TestWebServer(t *testing.T) {
	sideBySide(t)
	h := newHost(t)
	h.whole()
	page, err := os.ReadFile(filepath.Join(h.site.Root(), "index.html"))
	require.NoError(t, err)
	aside := startBystander(t, h.rig)
	before := h.vitals()
	l := startLoad(h.stand, page, 8)
	rounds(t, web, h.stand, &site{h, l}, h.wounds())
	require.Empty(t, l.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	require.NotZero(t, l.answered.Load())
	h.noMoreThan(before)
	t.Logf("%d pages, %d requests failed as explained; the bystander made %d ways, the longest %v",
		l.answered.Load(), l.excused.Load(), aside.count, aside.slowly)
}

// wounds are those of nginx alone.
func (h *host) wounds() (all []wound) {
	for _, f := range faults {
		all = append(all, wound{f.name, f.breaks, func(_ *stand, rnd *rand.Rand) { f.do(h, rnd) }})
	}
	return all
}

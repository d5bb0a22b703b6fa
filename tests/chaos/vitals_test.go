package chaos

import (
	"fmt"
	"os"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// vitals are what a process uses, the sums of all of a program's: they must not grow with time.
type vitals struct {
	descriptors, threads int
	resident             uint64 // octets
}

func (s *stand) vitals() (v vitals) {
	for _, pid := range s.pids() {
		v = v.plus(s, pid)
	}
	return v
}

func (v vitals) plus(s *stand, pid int) vitals {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	_, rss := statm(s.t, pid)
	return vitals{v.descriptors + len(fds), v.threads + len(threads), v.resident + rss}
}

// What a process may have more at the end than at the start, when its clients were there already: connections that it keeps for later, threads that
// Go's runtime made when a call took long, and touched pages of the packets' memory (64 MiB).
const (
	moreDescriptors = 8
	moreThreads     = 8
	moreMemory      = 96 << 20
)

// noMoreThan waits until the program uses no more than it did.
func (s *stand) noMoreThan(before vitals) {
	var now vitals
	n := len(s.pids())
	for end := time.Now().Add(testrig.Patience); ; time.Sleep(20 * time.Millisecond) {
		now = s.vitals()
		if now.descriptors <= before.descriptors+n*moreDescriptors && now.threads <= before.threads+n*moreThreads && now.resident <= before.resident+uint64(n)*moreMemory {
			break
		}
		require.True(s.t, time.Now().Before(end), "used before %+v, now %+v", before, now)
	}
	s.t.Logf("%d descriptors, %d threads, %d KiB before; %d, %d, %d after", before.descriptors, before.threads, before.resident>>10, now.descriptors, now.threads, now.resident>>10)
}

package chaos

import (
	"fmt"
	"os"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/observe/ask"
)

// vitals are what a process uses, the sums of all of a program's: they must not grow with time.
type vitals struct {
	descriptors, threads int
	resident             uint64         // octets
	kinds                map[string]int // of descriptors
}

func (s *stand) vitals() (v vitals) {
	v.kinds = map[string]int{}
	for _, pid := range s.pids() {
		v = v.plus(s, pid)
	}
	return v
}

func (v vitals) plus(s *stand, pid int) vitals {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	_, rss := statm(s.t, pid)
	for _, fd := range fds {
		if v.kinds != nil {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
			v.kinds[kind(to)]++
		}
	}
	return vitals{v.descriptors + len(fds), v.threads + len(threads), v.resident + rss, v.kinds}
}

// measureMemory notes how much of the packets' memory is free.
func (s *stand) measureMemory() {
	b, err := ask.Dial(s.rig.Socket(), "chaos")
	require.NoError(s.t, err)
	defer b.Close()
	for _, pid := range s.pids() {
		if in, err := b.Counters(pid); err == nil && in.Engine.Frames > 0 {
			s.least = min(s.least, float64(in.Engine.Free)/float64(in.Engine.Frames))
		}
	}
}

// kind is what a descriptor is of: memory and kernel objects by their names, files all alike.
func kind(link string) string {
	what, _, _ := strings.Cut(link, ":[")
	what = strings.TrimSuffix(what, " (deleted)")
	switch {
	case strings.HasPrefix(link, "anon_inode:"):
		return link
	case strings.HasPrefix(what, "/") && !strings.HasPrefix(what, "/memfd:"):
		return "file"
	}
	return what
}

// What a process may have more at the end than at the start: sockets of connections that it keeps for later and event descriptors of threads that waited
// at once, threads that Go's runtime made when a call took long, and touched pages
// of the packets' memory (64 MiB) with what the program keeps of the buffers that a hundred deaf peers filled (redis 70 MiB). Of every other kind of descriptor
// it has as many as before.
const (
	moreDescriptors = 8
	moreThreads     = 8
	moreMemory      = 192 << 20
)

// over says what the program uses now that it did not use before.
func (s *stand) over(before, now vitals) error {
	n := len(s.pids())
	for k, count := range now.kinds {
		more := 0
		if k == "socket" || k == "anon_inode:[eventfd]" {
			more = n * moreDescriptors
		}
		if count > before.kinds[k]+more {
			return fmt.Errorf("%d descriptors of %s, %d before", count, k, before.kinds[k])
		}
	}
	if now.threads > before.threads+n*moreThreads || now.resident > before.resident+uint64(n)*moreMemory {
		return fmt.Errorf("%d threads, %d before; %d KiB, %d before", now.threads, before.threads, now.resident>>10, before.resident>>10)
	}
	return nil
}

// noMoreThan waits until the program uses no more than it did.
func (s *stand) noMoreThan(before vitals) {
	var now vitals
	s.await("every resource to be back", func() error {
		now = s.vitals()
		return s.over(before, now)
	})
	s.t.Logf("%d descriptors, %d threads, %d KiB before; %d, %d, %d after", before.descriptors, before.threads, before.resident>>10, now.descriptors, now.threads, now.resident>>10)
}

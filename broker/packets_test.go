package broker

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEveryProcessorIsVisited(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpus, ok := online()
	require.True(t, ok)
	var before, after unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &before))
	all := before == cpus // else some are not ours: then a grace period it is
	require.Equal(t, all, onEveryProcessor() || before != cpus)
	require.NoError(t, unix.SchedGetaffinity(0, &after))
	require.Equal(t, before, after, "the thread may run where it might before")
}

func BenchmarkEveryProcessor(b *testing.B) {
	for b.Loop() {
		onEveryProcessor()
	}
}

func BenchmarkGracePeriod(b *testing.B) {
	for b.Loop() {
		_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	}
}

package path_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/testbed/path"
)

// TestAFlowKeepsItsQueue: on whichever processor the path happens to run, a flow's packets come by one queue, and other flows by others.
func TestAFlowKeepsItsQueue(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	const queues, flows, n = 4, 12, 200
	b := bedtest.New(t, testbed.Config{Middle: true, Queues: queues})
	p, err := path.Start(b, 1500)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	countByQueue(t, b)
	bedtest.Until(t, "the neighbours know each other", func() bool {
		came, _ := echo(t, b, 1)
		return came == 1
	})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				everyThreadOn(0, 1)
				return
			case <-time.After(time.Millisecond):
				everyThreadOn(i % 2)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	used := map[int]bool{}
	for range flows {
		before := packets(t, b, queues)
		came, _ := echo(t, b, n)
		by := packets(t, b, queues)
		for q := range by {
			by[q] -= before[q]
		}
		at := slices.Index(by, slices.Max(by))
		used[at] = true
		require.GreaterOrEqual(t, by[at], came, "packets by queue: %v", by)
		by[at] = 0
		require.Less(t, slices.Max(by), n/10, "another queue's: %v", by) // the neighbours may ask for each other
	}
	require.Greater(t, len(used), 1, "queues that flows came by")
}

// countByQueue attaches an XDP program that passes everything: veth counts packets by queue then.
func countByQueue(t *testing.T, b *testbed.Bed) {
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	require.NoError(t, err)
	t.Cleanup(func() { pass.Close() })
	require.NoError(t, b.Server.Do(func() error {
		dev, err := net.InterfaceByName(b.Server.Device)
		if err != nil {
			return err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: dev.Index})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	}))
}

// packets is how many came by each queue of the server's device.
func packets(t *testing.T, b *testbed.Bed, queues int) (by []int) {
	out, err := b.Server.Run("ethtool", "-S", b.Server.Device)
	require.NoError(t, err, out)
	for q := range queues {
		_, rest, ok := strings.Cut(out, fmt.Sprintf("rx_queue_%d_xdp_packets: ", q))
		require.True(t, ok, out)
		var n int
		_, err := fmt.Sscan(rest, &n)
		require.NoError(t, err)
		by = append(by, n)
	}
	return by
}

// everyThreadOn lets all threads of this process run on these processors only.
func everyThreadOn(processors ...int) {
	var set unix.CPUSet
	for _, p := range processors {
		set.Set(p)
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		_ = unix.SchedSetaffinity(tid, &set) // one that ended meanwhile needs none
	}
}

package afxdp_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// Two processes with memories of their own cannot have one queue: the broker's way of dividing queues rests on it.
func TestAQueueHasOneMemory(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	for _, copied := range []bool{true, false} {
		first, err := afxdp.NewMemory("sluice-test", 64)
		require.NoError(t, err)
		defer first.Close()
		second, err := afxdp.NewMemory("sluice-test", 64)
		require.NoError(t, err)
		defer second.Close()
		require.NoError(t, bed.Server.Do(func() error {
			cfg := afxdp.RingConfig{Copy: copied}
			queue := map[bool]int{true: 0, false: 1}[copied]
			q, err := afxdp.OpenQueue(bed.Server.Ifindex, queue, first, cfg)
			if err != nil {
				return err
			}
			defer q.Close()
			_, err = afxdp.OpenQueue(bed.Server.Ifindex, queue, second, cfg)
			require.ErrorIs(t, err, unix.EBUSY)
			return nil
		}))
	}
}

// A queue that comes free while another program tries to have it takes long packets as any other: the kernel gives it back some time after its
// socket was closed, which may be between two attempts.
func TestAQueueThatComesFreeTakesLongPackets(t *testing.T) {
	if !afxdp.KernelAtLeast(6, 6) {
		t.Skip("packets in several frames came with Linux 6.6")
	}
	bed := bedtest.New(t, testbed.Config{Queues: 1, MTU: 9000})
	mem, err := afxdp.NewMemory("sluice-test", 64)
	require.NoError(t, err)
	defer mem.Close()
	require.NoError(t, bed.Server.Do(func() error {
		var last *afxdp.Queue
		for range 30 {
			q, err := afxdp.PrepareQueue(bed.Server.Ifindex, 0, mem, afxdp.RingConfig{})
			if err != nil {
				return err
			}
			if last != nil {
				require.NoError(t, last.Close())
			}
			for end := time.Now().Add(5 * time.Second); ; {
				if err = q.Bind(); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
					break
				}
			}
			require.NoError(t, err)
			require.True(t, q.Layout().Parts)
			last = q
		}
		return last.Close()
	}))
}

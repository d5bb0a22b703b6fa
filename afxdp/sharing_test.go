package afxdp_test

import (
	"testing"

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

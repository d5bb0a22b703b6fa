package raw

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

func open(t *testing.T, n *testbed.Node) *End {
	var e *End
	require.NoError(t, n.Do(func() (err error) {
		e, err = Open(n.IPv4.AsSlice())
		return err
	}))
	t.Cleanup(e.Close)
	return e
}

// Frames go there and back, by whichever queue, and the kernel's own traffic goes on beside them.
func TestFramesGoThereAndBack(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 2})
	server, client := open(t, bed.Server), open(t, bed.Client)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		server.Reflect(stop)
		close(done)
	}()
	heard, came := 0, make(chan error, 1)
	var n int
	go func() {
		var err error
		n, err = client.Call(bed.Server.MAC, 50*time.Millisecond, func(ns int64) { heard++ })
		came <- err
	}()
	require.NoError(t, <-came)
	err := bed.Client.Do(func() error {
		_, err := net.DialTimeout("tcp", net.JoinHostPort(bed.Server.IPv4.String(), "9"), 15*time.Second)
		return err
	})
	close(stop)
	<-done
	require.GreaterOrEqual(t, heard, least)
	require.Greater(t, n, heard, "the warm-up counts too")
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "TCP goes through the kernel")
}

func TestNobodyAnswers(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	came := make(chan error, 1)
	client := open(t, bed.Client)
	client.silence = 100 * time.Millisecond
	go func() {
		_, err := client.Call(bed.Server.MAC, time.Second, func(int64) {})
		came <- err
	}()
	require.ErrorIs(t, <-came, errSilent)
	_, err := Open(net.IPv4(192, 0, 2, 77))
	require.Error(t, err)
}

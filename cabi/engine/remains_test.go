package engine

import (
	"os"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// storm sends signals to this thread, as a program's timer may while it is in the engine.
func storm(t *testing.T) {
	runtime.LockOSThread()
	came := make(chan os.Signal, 1)
	signal.Notify(came, unix.SIGUSR1)
	tid, stop := unix.Gettid(), make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1)
				time.Sleep(20 * time.Microsecond)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-ended
		signal.Stop(came)
		runtime.UnlockOSThread()
	})
	<-came
}

func TestSignalsEndNoWaitOfOurs(t *testing.T) {
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer closeAll(pipe[:])
	keeper, err := proto.Keep(pipe[:1])
	require.NoError(t, err)
	defer unix.Close(keeper)
	storm(t)
	for range 20000 {
		require.False(t, proto.Empty(keeper), "nobody has taken what is in it")
	}
	begin := time.Now()
	wait(pipe[0], unix.POLLIN)
	require.GreaterOrEqual(t, time.Since(begin), remainsWait*time.Millisecond)
}

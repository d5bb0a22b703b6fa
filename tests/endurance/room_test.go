package endurance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// TestNoRoom has a server go on that may map nothing any more, by an order from outside: as it would by the kernel, it serves who comes.
func TestNoRoom(t *testing.T) {
	const port, n, rounds = 9000, 1500, 2
	r := testrig.New(t, testbed.Config{Queues: 1})
	program := compile(t, r, "prog/hold.c")
	server := testrig.Start(t, r.Server, append(r.Env(), fmt.Sprintf("SLUICE_LISTEN=%d", port)), testrig.Built(t, "sluice"), "run", "--",
		program, "serve", r.Server.IPv4.String(), fmt.Sprint(port), "1")
	testrig.Until(t, "the server to be accelerated", func() bool { return accelerated(r) == 1 })
	call := func(n, rounds int) {
		t.Helper()
		c := testrig.Start(t, r.Client, nil, program, "call", r.Server.IPv4.String(), fmt.Sprint(port), "1", fmt.Sprint(n), fmt.Sprint(rounds))
		require.NoError(t, c.Wait(time.Minute), "%s%s", c.Output(), server.Output())
		require.Contains(t, c.Output(), fmt.Sprintf("used %d\n", n))
	}
	atRest(t, r, func() { call(8, 1) })
	pid := 0
	for pid = range r.Status().QueuesByPID() {
	}
	var was unix.Rlimit
	none := unix.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY}
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_AS, &none, &was))
	before := r.Status().Sum("accepted")
	for range 3 {
		call(n, rounds)
	}
	t.Logf("%d of %d were the engine's, accelerated: %d", r.Status().Sum("accepted")-before, 3*n, accelerated(r))
	require.NotZero(t, r.Status().Sum("accepted")-before)
	// After 5 s the engine gives up what it has; nobody is lost by that.
	for since := time.Now(); len(r.Status().Leases[0].Queues) > 0; {
		require.Less(t, time.Since(since), time.Minute, server.Output())
		call(64, 1)
	}
	counted := r.Status().Sum("accepted")
	call(64, rounds)
	require.Equal(t, counted, r.Status().Sum("accepted"), "the kernel's")
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_AS, &was, nil))
	call(8, 1)
}

package e2e

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A server that was killed can begin anew at once, as by the kernel: connections that it had accepted, whoever has them or is still closing them, let a
// listener with SO_REUSEADDR have their port.
func TestAPortCanBeBoundAgainAtOnce(t *testing.T) {
	for _, moves := range []string{"", "detach", "detach attach", "detach attach detach", "detach attach detach attach"} {
		for _, used := range []bool{true, false} { // after the last move, so that the program has seen it
			t.Run(fmt.Sprintf("%s used=%v", moves, used), func(t *testing.T) {
				r := newRig(t, testbed.Config{Queues: 2})
				x := r.accelerated()
				r.waitAccelerated(x)
				var all []net.Conn
				for range 3 {
					c := r.dial(t, x.Port)
					require.NoError(t, getOver(c))
					all = append(all, c)
				}
				pid := x.WorkerPids()[0]
				for i, verb := range strings.Fields(moves) {
					if i > 0 {
						require.NoError(t, getOver(all[0]))
					}
					out, why, _ := testrig.Try(r.Server, nil, testrig.Built(t, "sluice"), verb, fmt.Sprint(pid), "--socket", r.Socket())
					require.Equal(t, "3 moved, 0 left", strings.TrimSpace(out), why)
				}
				if used {
					for _, c := range all {
						require.NoError(t, getOver(c))
					}
				}
				x.Stop(syscall.SIGKILL)
				require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
				testrig.Until(t, "the worker to end", func() bool { return !testrig.Alive(pid) })
				var l net.Listener
				require.NoError(t, r.Server.Do(func() (err error) {
					l, err = net.Listen("tcp", fmt.Sprintf("%v:%d", r.Server.IPv4, x.Port))
					return err
				}))
				l.Close()
			})
		}
	}
}

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/tests/testrig"
)

// callerText is a program that only connects, to a server of the other host's kernel, and talks over four connections at a time.
const callerText = `
import socket, sys
kept = []
while True:
    kept = kept[-3:] + [socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)]
    for s in kept * 5:
        s.sendall(b"x" * 2000)
        got = 0
        while got < 2000:
            n = len(s.recv(4096))
            assert n, "end of stream"
            got += n
    print(".", end="", flush=True)
`

// TestCrashMatrixOfCallers kills programs that only connect, with spurs beside the queues of nginx, at random moments from their first one on, and now and then
// the broker a moment before: nothing of them is left, and neither nginx' connections nor the kernel's notice.
func TestCrashMatrixOfCallers(t *testing.T) {
	n, seed := number(t, "SLT_CRASH", 2), wanted(t).seed
	rnd := rand.New(rand.NewPCG(seed, 3))
	h := newHost(t)
	h.whole()
	page, err := os.ReadFile(filepath.Join(h.site.Root(), "index.html"))
	require.NoError(t, err)
	aside := startBystander(t, h.rig)
	l := startLoad(h.stand, page, 4)
	held := h.holdings()
	port, spurs := bedtest.Echo(t, h.rig.Client), 0
	for i := range n {
		where := fmt.Sprintf("seed %d, moment %d", seed, i)
		p := testrig.Start(t, h.rig.Server, append(h.rig.Env(), "SLUICE_LISTEN=none", fmt.Sprintf("SLUICE_CONNECT=*:%d", port)),
			testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-c", callerText, h.rig.Client.IPv4.String(), fmt.Sprint(port))
		if rnd.IntN(4) > 0 { // else it dies while it is being served, or before
			testrig.Until(t, where+": a spur: "+p.Output(), func() bool { return h.rig.Status().QueuesByPID()[p.Pid()] == 1 })
			spurs++
		}
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
		if rnd.IntN(3) == 0 {
			h.rig.Broker.Stop(syscall.SIGKILL)
			time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
			if rnd.IntN(2) == 0 {
				p.Stop(syscall.SIGKILL)
			}
			h.rig.StartBroker()
		}
		p.Stop(syscall.SIGKILL)
		require.NotContains(t, p.Output(), "Error", where)
		h.whole()
		h.backTo(held, where)
		require.Empty(t, l.unexplained(), where)
	}
	resent := retransmits(t, aside)
	require.Empty(t, l.end())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	t.Logf("%d moments, %d with a spur; %d pages; the bystander made %d ways, the longest %v, %d segments sent again", n, spurs, l.answered.Load(), aside.count, aside.slowly, resent)
}

package chaos

import (
	"net"
	"strings"
	"time"

	"github.com/sluice-net/sluice/tests/testrig"
)

// heard is within how long of a new broker the peers of the dead have learned of it: for 5 s it asks nobody whose the flow of a stray segment is, as not all
// programs may be back (docs/limits.md), and the segment after that comes after 6.4 s at most.
const heard = 12 * time.Second

// unheard says whether a client's connection is in no program and not in the kernel, and no broker lived long enough to tell its peer.
func (s *stand) unheard(client net.Addr) bool {
	if time.Since(time.Unix(0, s.reborn.Load())) > heard {
		return false
	}
	for end := time.Now().Add(testrig.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // the broker may be dead just now
		ours, _, err := testrig.Try(s.rig.Server, s.rig.Env(), testrig.Built(s.t, "sluice"), "ss", "-tan")
		kernels, _, err2 := testrig.Try(s.rig.Server, nil, "ss", "-tan")
		if err == nil && err2 == nil {
			return !strings.Contains(ours+kernels, client.String())
		}
	}
	return false
}

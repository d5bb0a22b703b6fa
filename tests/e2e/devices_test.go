package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Devices on top of others get packets that GRO and TSO have joined together, which fit no frame: they are the kernel's, and the program says
// so. The device below is accelerated if it has an address of its own; what it carries for the one on top passes untouched.
func TestDevicesOnTopOfOthers(t *testing.T) {
	for _, c := range []struct {
		name, make string
		below      bool // the device below has an address, too
	}{
		{"bridge", "ip link add top type bridge; ip link set veth0 master top", false},
		{"macvlan", "ip link add top link veth0 type macvlan mode bridge", true},
	} {
		t.Run(c.name, func(t *testing.T) { servesOnTop(t, c.make, c.below) })
	}
}

func servesOnTop(t *testing.T, commands string, below bool) {
	const upper, lower = "10.77.0.1", "10.77.1.1" // of the server
	r := newRig(t, testbed.Config{})
	// Each device answers for its own address only: a peer whose packets come by one device and who is reached by another is another matter.
	commands += "; echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; ip addr flush dev veth0; ip link set top up; ip addr add " + upper + "/24 dev top"
	if below {
		commands += "; ip addr add " + lower + "/24 dev veth0"
	}
	testrig.Run(t, r.Server, "sh", "-ec", commands)
	testrig.Run(t, r.Client, "sh", "-ec", "ip neigh flush dev veth0; ip addr add 10.77.1.2/24 dev veth0")
	x := r.accelerated()
	startRole(t, r.Server, nil, "backend", fmt.Sprintf("127.0.0.1:%d", x.Backend))
	testrig.Until(t, "the backend", func() bool { return strings.Contains(r.listeners(), fmt.Sprintf(":%d ", x.Backend)) })
	if below {
		r.waitAccelerated(x)
		require.Equal(t, "veth0", r.Status().Devices[0].Device)
	} else {
		testrig.Until(t, "the reason", func() bool { return strings.Contains(x.errorLog(), "device top left out: a device of kind bridge") })
		require.Empty(t, r.Status().Devices)
	}
	load := startLoad(t, r, fmt.Sprintf("%s:%d", upper, x.Port), "close", 4)
	r.movesLarge(x, upper)
	if below {
		r.movesLarge(x, lower)
		require.Greater(t, r.packets(), uint64(2*4<<20/1448), "the large page and upload went by the queue")
	}
	res := load.finish()
	require.Zero(t, res.Failed, "%v", res.Errors)
	require.NotZero(t, res.Requests)
}

// movesLarge sends 4 MiB to the server at an address, and gets as much.
func (r *rig) movesLarge(x *server, addr string) {
	r.T.Helper()
	const size = 4 << 20
	got, base := filepath.Join(r.Dir, "got"), fmt.Sprintf("http://%s:%d", addr, x.Port)
	page := x.file("large", size)
	testrig.Run(r.T, r.Client, "curl", "-sS", "-m", "60", "-o", got, base+"/large")
	require.Equal(r.T, sum(r.T, page), sum(r.T, got))
	upload := filepath.Join(r.Dir, "upload")
	require.NoError(r.T, os.Rename(page, upload))
	answer := testrig.Run(r.T, r.Client, "curl", "-sS", "-m", "60", "-T", upload, base+"/up/load")
	require.Equal(r.T, fmt.Sprintf("%d %s", size, sum(r.T, upload)), strings.TrimSpace(answer))
}

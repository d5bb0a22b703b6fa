package broker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// TestANewBrokerAdoptsWithoutAnAddress: a program whose listener's address is away when a new broker comes, as while the device is down, keeps its queues and
// is served again as soon as the address is back.
func TestANewBrokerAdoptsWithoutAnAddress(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{})
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	socket := socketPath(t)
	pin := filepath.Join(filepath.Dir(socket), "bpf", "sluice")
	first := startRole(t, nil, "broker", 0, socket, pin)
	require.Equal(t, "<nil>", first.line())
	p := startRole(t, bed.Server, "program", nobody)
	p.do("door", socket)
	port := p.do("listen", "0.0.0.0")
	require.Equal(t, "4", p.do("lease"))
	first.kill()
	address := func(verb string) {
		out, err := bed.Server.Run("ip", "addr", verb, bed.Server.IPv4.String()+"/24", "dev", bed.Server.Device)
		require.NoError(t, err, out)
	}
	address("del")

	b := realHost(t, func(c *Config) { c.Socket, c.PinDir, c.Grace = socket, pin, time.Hour })
	p.do("door", socket)
	require.Contains(t, p.do("adopt"), "true 4 no device carries an address")
	require.Len(t, b.Status().Devices[0].Owners, 4)
	b.mu.Lock()
	b.endGrace()
	b.mu.Unlock()
	require.Len(t, b.Status().Devices[0].Owners, 4, "what was adopted stays")
	address("add")
	bedtest.Until(t, "packets", func() bool {
		knock(t, bed, bed.Server.IPv4, port)
		return p.do("received") != "0"
	})
	p.kill()
	bedtest.Until(t, "nothing left", func() bool {
		s := b.Status()
		return len(s.Leases) == 0 && len(s.Devices) == 0
	})
	b.Close()
}

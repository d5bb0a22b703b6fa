package e2e

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A thread that waits for long each time sleeps at once: to spin first is time that its peers may want, as two nginx workers' clients did on two
// processors. (That short waits spin again is what `sluice bench` shows.)
func TestLongWaitsDoNotSpin(t *testing.T) {
	const times = 200
	r := newRig(t, testbed.Config{})
	testrig.Start(t, r.Server, append(r.Env(), "SLUICE_LISTEN=9000"), testrig.Built(t, "sluice"), "run", "--", testrig.Built(t, "pingpong"), "serve", r.Server.IPv4.String(), "9000", "block")
	var c net.Conn
	testrig.Until(t, "an accelerated connection", func() bool {
		if c != nil {
			c.Close()
		}
		var err error
		_ = r.Client.Do(func() error { c, err = net.Dial("tcp4", r.Server.IPv4.String()+":9000"); return err })
		return err == nil && exchange(c) == nil && r.packets() > 0
	})
	defer c.Close()
	before := r.plainCounts()
	for range times {
		time.Sleep(3 * time.Millisecond)
		require.NoError(t, exchange(c))
	}
	testrig.Until(t, "the counters", func() bool { return r.plainCounts()["SluiceSleeps"]-before["SluiceSleeps"] > times/2 })
	now := r.plainCounts()
	require.Less(t, now["SluiceSpins"]-before["SluiceSpins"], uint64(times/4), "of %d sleeps", now["SluiceSleeps"]-before["SluiceSleeps"])
}

func exchange(c net.Conn) error {
	b := []byte{1}
	_ = c.SetDeadline(time.Now().Add(testrig.Patience))
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := c.Read(b)
	return err
}

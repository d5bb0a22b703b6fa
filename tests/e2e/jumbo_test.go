package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// On a device of MTU 9000 a file goes over one connection in segments as long as the kernel's, from either end, with the kernel at the
// other end or sluice; with checksums by the device and by us, and in runs (segmentation offload).
func TestLargeMTU(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 1, MTU: 9000})
	testrig.Run(t, r.Client, "ethtool", "-K", r.Client.Device, "tso", "off", "gso", "off", "gro", "off")
	data := make([]byte, 16<<20+123)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(data)
	file := filepath.Join(r.Dir, "data")
	require.NoError(t, os.WriteFile(file, data, 0o644))
	port := 7000
	for _, fast := range []string{"none", "checksum", "all"} {
		for _, way := range []string{"TX:", "RX:"} { // of the client
			for _, accelerated := range []bool{false, true} {
				port++
				t.Run(fmt.Sprint(fast, ", ", way, ", sluice: ", accelerated), func(t *testing.T) {
					before := r.traffic(way)
					r.transfer(t, port, fast, accelerated, way == "RX:", file, data, r.waitReady)
					after := r.traffic(way)
					if !accelerated { // else not all of it passes the kernel's counters
						size := float64(after.bytes-before.bytes) / float64(after.packets-before.packets)
						require.Greater(t, size, 8000.0, "bytes a packet")
					}
				})
			}
		}
	}
}

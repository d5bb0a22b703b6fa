package e2e

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A file goes over one connection, from either end, with segmentation offload and without; the kernel at the other end, or sluice.
// With it the kernel's end sees the packets in runs.
func TestSegmentationOffload(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 1})
	data := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{5}).Read(data)
	file := filepath.Join(r.Dir, "data")
	require.NoError(t, os.WriteFile(file, data, 0o644))
	port := 7000
	for _, fast := range []string{"all", "none"} {
		for _, client := range []string{"kernel", "sluice"} {
			for _, way := range []string{"to the client", "to the server"} {
				if port++; fast == "none" && (client == "sluice" || way == "to the server") {
					continue // that is what other tests do
				}
				t.Run(fmt.Sprint(fast, ", ", client, ", ", way), func(t *testing.T) {
					before := r.received()
					r.transfer(t, port, fast, client == "sluice", way == "to the client", file, data)
					after := r.received()
					if client == "kernel" && way == "to the client" {
						size := (after.bytes - before.bytes) / (after.packets - before.packets)
						require.Equal(t, fast == "all", size > 2*1514, "%d bytes a packet", size)
					}
				})
			}
		}
	}
}

// transfer moves the file over a connection to an accelerated server.
func (r *rig) transfer(t *testing.T, port int, fast string, accelerated, out bool, file string, data []byte) {
	t.Helper()
	program, ip, copied := testrig.Built(t, "transfer"), r.Server.IPv4.String(), filepath.Join(r.Dir, fmt.Sprint("copy-", port))
	send, receive := []string{"send", file}, []string{"receive", copied, fmt.Sprint(len(data))}
	if !out {
		send, receive = receive, send
	}
	args := func(role string, rest []string) []string {
		return append([]string{role, ip, fmt.Sprint(port), "cubic"}, rest...)
	}
	preload := append(r.Env(), "LD_PRELOAD="+testrig.Built(t, "libsluice.so"), "SLUICE_FAST="+fast)
	server := testrig.Start(t, r.Server, preload, program, args("serve", send)...)
	r.waitReady(t, server)
	var env []string
	if accelerated {
		env = append(preload, "SLUICE_LISTEN=none", "SLUICE_CONNECT="+ip+"/32:*")
	}
	client := testrig.Start(t, r.Client, env, program, args("call", receive)...)
	require.NoError(t, client.Wait(2*testrig.Patience), client.Output())
	require.NoError(t, server.Wait(testrig.Patience), server.Output())
	got, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(data), sha256.Sum256(got))
}

// waitReady waits until the program holds the queue, and no other program is on the devices.
func (r *rig) waitReady(t *testing.T, p *testrig.Proc) {
	t.Helper()
	testrig.Until(t, "the queue to be the server's", func() bool {
		st := r.Status()
		return len(st.Devices) == 1 && len(st.Devices[0].Owners) == 1 && st.Devices[0].Owners[0] == p.Pid()
	})
}

// traffic is what passed the client's device.
type traffic struct{ packets, bytes uint64 }

func (r *rig) received() traffic { return r.traffic("RX:") }

func (r *rig) traffic(way string) (n traffic) {
	r.T.Helper()
	out := testrig.Run(r.T, r.Client, "ip", "-s", "link", "show", "dev", r.Client.Device)
	_, rest, ok := strings.Cut(out, way)
	require.True(r.T, ok, out)
	_, rest, _ = strings.Cut(rest, "\n")
	_, err := fmt.Sscan(rest, &n.bytes, &n.packets)
	require.NoError(r.T, err, out)
	return n
}

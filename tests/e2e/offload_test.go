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

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/tests/testrig"
)

// A file goes over one connection, from either end, with segmentation offload and without; the kernel at the other end, or sluice.
// With it the kernel's end sees the packets in runs, and so does ours of what the other end has not cut (Linux 6.9).
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
					direction := map[bool]string{true: "RX:", false: "TX:"}[way == "to the client"]
					before := r.traffic(direction)
					r.transfer(t, port, fast, client == "sluice", way == "to the client", file, data, r.waitReady)
					after := r.traffic(direction)
					size := (after.bytes - before.bytes) / (after.packets - before.packets)
					if way == "to the server" && !afxdp.KernelAtLeast(6, 9) {
						return
					}
					require.Equal(t, fast == "all", size > 2*1514, "%d bytes a packet", size)
				})
			}
		}
	}
}

// Who gets packets behind another program, by a spur, gets them in runs as well.
func TestSegmentationOffloadOnASpur(t *testing.T) {
	r := newRig(t, testbed.Config{Queues: 1})
	first := testrig.Start(t, r.Server, r.Env(), testrig.Built(t, "sluice"), "run", "--", "/usr/bin/python3", "-u", "-m", "http.server", "8000")
	has := func(p *testrig.Proc) func() bool {
		return func() bool { return r.Status().QueuesByPID()[p.Pid()] == 1 }
	}
	testrig.Until(t, "the queue to be the first program's", has(first))
	data := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{6}).Read(data)
	file := filepath.Join(r.Dir, "data")
	require.NoError(t, os.WriteFile(file, data, 0o644))
	for i, out := range []bool{false, true} {
		before := r.traffic("TX:")
		r.transfer(t, 7100+i, "all", false, out, file, data, func(_ *testing.T, server *testrig.Proc) {
			testrig.Until(t, "a spur to be the second program's", has(server))
		})
		if after := r.traffic("TX:"); !out && afxdp.KernelAtLeast(6, 9) {
			size := (after.bytes - before.bytes) / (after.packets - before.packets)
			require.Greater(t, size, uint64(2*1514))
		}
	}
}

// transfer moves the file over a connection to an accelerated server, once that is ready.
func (r *rig) transfer(t *testing.T, port int, fast string, accelerated, out bool, file string, data []byte, ready func(*testing.T, *testrig.Proc)) {
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
	ready(t, server)
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

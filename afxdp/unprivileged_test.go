package afxdp_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
)

// childEnv holds the layout when the test binary runs as the unprivileged process.
const childEnv = "TEST_AFXDP_LAYOUT"

func TestMain(m *testing.M) {
	if l := os.Getenv(childEnv); l != "" {
		if err := reflectOnce(l); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// reflectOnce maps the socket 3 over the memory 4, waits for a packet and sends it back with the
// MAC addresses exchanged.
func reflectOnce(layout string) error {
	if os.Getuid() != 65534 {
		return fmt.Errorf("uid is %d", os.Getuid())
	}
	var l afxdp.Layout
	if err := json.Unmarshal([]byte(layout), &l); err != nil {
		return err
	}
	mem, err := afxdp.MapMemory(os.NewFile(4, "memory"))
	if err != nil {
		return err
	}
	vi, err := afxdp.Map(3, l, mem, efvi.Info{})
	if err != nil {
		return err
	}
	vi.Post([]uint32{0, 1, 2, 3})
	fmt.Println("ready")
	var ev [4]efvi.Event
	var sent bool
	for end := time.Now().Add(bedtest.CleanLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, e := range ev[:vi.Poll(ev[:])] {
			if e.Kind == efvi.EventTX {
				return vi.Close()
			}
			b := mem.Data(e)
			var mac [6]byte
			copy(mac[:], b[:6])
			copy(b[:6], b[6:12])
			copy(b[6:12], mac[:])
			sent = vi.Send(e.Frame, e.Off, e.Len)
		}
		if err := vi.Flush(); err != nil {
			return err
		}
	}
	return fmt.Errorf("no packet, or it was not sent (sent: %v)", sent)
}

// A process without any privilege runs the data path over a socket it was given.
func TestUnprivilegedProcessMapsAndMoves(t *testing.T) {
	bed := bedtest.New(t, testbed.Config{Queues: 1})
	dir := bedtest.PinDir(t)
	client := bedtest.OpenPort(t, bed.Client, 1, dir)
	require.NoError(t, client.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))
	server := bedtest.OpenPort(t, bed.Server, 0, dir)
	require.NoError(t, server.Program.SetListener(steer.Untagged, netip.Addr{}, port, 0))

	mem, err := afxdp.NewMemory("sluice-test", 8)
	require.NoError(t, err)
	defer mem.Close()
	var q *afxdp.Queue
	require.NoError(t, bed.Server.Do(func() error {
		q, err = afxdp.OpenQueue(bed.Server.Ifindex, 0, mem, afxdp.RingConfig{})
		return err
	}))
	require.NoError(t, server.Program.SetQueue(0, q.FD()))
	child := startChild(t, q, mem)
	defer q.Close()

	// Listener entries know no direction, so the packet as it comes back is the client's too.
	p := to(bed, "hello")
	p.Src = netip.AddrPortFrom(bed.Client.IPv4, port)
	client.Transmit(t, 0, 0, p.Bytes())
	p.SrcMAC, p.DstMAC = p.DstMAC, p.SrcMAC
	require.Equal(t, p.Bytes(), await(t, client, 0))
	require.NoError(t, child.Wait())
}

func startChild(t *testing.T, q *afxdp.Queue, mem *os.File) *exec.Cmd {
	layout, err := json.Marshal(q.Layout())
	require.NoError(t, err)
	xsk, err := syscall.Dup(q.FD())
	require.NoError(t, err)
	f := os.NewFile(uintptr(xsk), "xsk")
	defer f.Close()
	// The path of the test binary may be closed to others; this name of it is not.
	child := exec.Command("/proc/self/exe")
	child.Env = []string{childEnv + "=" + string(layout)}
	child.ExtraFiles = []*os.File{f, mem}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() })
	line := make([]byte, 6)
	_, err = out.Read(line)
	require.NoError(t, err)
	return child
}

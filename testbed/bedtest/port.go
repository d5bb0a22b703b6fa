package bedtest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/testbed"
)

// PinDir makes a directory on a bpffs of its own, which goes away with the test.
func PinDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	mounted, err := steer.EnsureBPFFS(dir)
	require.NoError(t, err)
	require.True(t, mounted)
	t.Cleanup(func() {
		if err := steer.UnmountBPFFS(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Port is a node's device with all of its queues open, each over its own part of one memory.
type Port struct {
	Program *steer.Program
	VIs     []*afxdp.VI
	Memory  efvi.Memory
}

// FramesPerQueue of a Port: the first half is posted, the second is for sending.
const FramesPerQueue = 256

// Half is the number of frames of either half.
const Half = FramesPerQueue / 2

// OpenPort attaches the steering program to the node's device and opens that many of its queues.
func OpenPort(t testing.TB, n *testbed.Node, queues int, pinDir string) *Port {
	t.Helper()
	p := &Port{}
	prog, err := steer.Attach(n.FD(), n.Ifindex, pinDir)
	require.NoError(t, err)
	p.Program = prog
	t.Cleanup(func() {
		if err := p.Program.Close(); err != nil {
			t.Error(err)
		}
	})
	if queues == 0 {
		return p
	}
	mem, err := afxdp.NewMemory("sluice-test", queues*FramesPerQueue)
	require.NoError(t, err)
	defer mem.Close()
	p.Memory, err = afxdp.MapMemory(mem)
	require.NoError(t, err)
	t.Cleanup(func() { _ = afxdp.UnmapMemory(p.Memory) })
	require.NoError(t, netns.Do(n.FD(), func() error {
		dev, err := afxdp.Probe(n.Ifindex)
		for queue := 0; err == nil && queue < queues; queue++ {
			var q *afxdp.Queue
			if q, err = afxdp.OpenQueue(n.Ifindex, queue, mem, afxdp.RingConfig{Parts: prog.Joined()}); err == nil {
				p.take(t, q, dev.Info(queue, q.Layout(), prog.Mode() == steer.Native))
			}
		}
		return err
	}))
	return p
}

// take maps a queue, posts half of its frames and has the program fill it.
func (p *Port) take(t testing.TB, q *afxdp.Queue, info efvi.Info) {
	fd, err := unix.FcntlInt(uintptr(q.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	vi, err := afxdp.Map(fd, q.Layout(), p.Memory, info)
	require.NoError(t, err)
	require.NoError(t, p.Program.SetQueue(info.Queue, q.FD()))
	require.NoError(t, q.Close())
	t.Cleanup(func() { _ = vi.Close() })
	p.VIs = append(p.VIs, vi)
	frames := make([]uint32, Half)
	for i := range frames {
		frames[i] = p.First(info.Queue) + uint32(i)
	}
	require.Equal(t, len(frames), vi.Post(frames))
}

// First is the first frame of a queue's part of the memory.
func (p *Port) First(queue int) uint32 { return uint32(queue * FramesPerQueue) }

// Transmit sends one packet by a frame of the sending half.
func (p *Port) Transmit(t testing.TB, queue, slot int, packet []byte) {
	t.Helper()
	frame := p.First(queue) + Half + uint32(slot)
	n := copy(p.Memory.Frame(frame), packet)
	require.True(t, p.VIs[queue].Send(frame, 0, uint32(n)))
	require.NoError(t, p.VIs[queue].Flush())
}

// TransmitParts sends one packet by as many frames of the sending half as it needs, or more: first bytes lie in the first one, 0 for as
// many as fit.
func (p *Port) TransmitParts(t testing.TB, queue int, packet []byte, first int) {
	t.Helper()
	if first == 0 {
		first = efvi.FrameSize - efvi.SumRoom
	}
	var parts []efvi.Part
	for frame := p.First(queue) + Half; len(packet) > 0; frame++ {
		n := copy(p.Memory.Frame(frame)[efvi.SumRoom:], packet[:min(first, len(packet))])
		parts = append(parts, efvi.Part{Frame: frame, Off: efvi.SumRoom, N: uint32(n)})
		packet, first = packet[n:], efvi.FrameSize
	}
	require.True(t, p.VIs[queue].Gather(parts, 0, 0))
	require.NoError(t, p.VIs[queue].Flush())
}

// Received collects the packets that came to a queue since the last call, and posts their frames
// again.
func (p *Port) Received(queue int) [][]byte {
	var ev [64]efvi.Event
	var out [][]byte
	var whole []byte
	for {
		n := p.VIs[queue].Poll(ev[:])
		if n == 0 {
			return out
		}
		for _, e := range ev[:n] {
			switch e.Kind {
			case efvi.EventPart:
				whole = append(whole, p.Memory.Data(e)...)
			case efvi.EventRX:
				out = append(out, append(whole, p.Memory.Data(e)...))
				whole = nil
			}
			if e.Kind != efvi.EventTX {
				p.VIs[queue].Post([]uint32{e.Frame})
			}
		}
	}
}

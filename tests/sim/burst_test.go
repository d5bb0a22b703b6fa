package sim

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/efvi"
	"github.com/sluice-net/sluice/ustack/wire"
)

// Burst is efvi.Burster: the segments go where those from the ring go.
func (n *nic) Burst(b *efvi.Burst) bool {
	if n.stuck || n.w.rng.IntN(8) == 0 { // a socket's buffer is full now and then
		return false
	}
	_ = n.Flush()
	size := 0
	for _, p := range b.Payload {
		size += len(p)
	}
	for at := 0; at < size; at += b.Size {
		n.bursts++
		if n.pipe != nil {
			n.pipe = append(n.pipe, slot{})
			p := &n.pipe[len(n.pipe)-1]
			p.n = cut(b, at, size, p.data[:])
			continue
		}
		data := make([]byte, 16<<10)
		data = data[:cut(b, at, size, data)]
		if n.tap != nil {
			n.tap(n.w.now, data)
		}
		n.transmit(data)
	}
	return true
}

// cut writes the segment whose payload begins at, as the kernel does.
func cut(b *efvi.Burst, at, size int, to []byte) int {
	be := binary.BigEndian
	end := min(at+b.Size, size)
	n := copy(to, b.Head)
	for p, i := 0, 0; i < len(b.Payload); i++ {
		piece := b.Payload[i]
		if from, upto := max(at-p, 0), min(end-p, len(piece)); from < upto {
			n += copy(to[n:], piece[from:upto])
		}
		p += len(piece)
	}
	tcp := to[b.TCP:n]
	be.PutUint32(tcp[4:], be.Uint32(tcp[4:])+uint32(at))
	if end < size {
		tcp[13] &^= byte(wire.PSH)
	}
	finish(to[:n], seams{ip: b.IP, tcp: b.TCP})
	return n
}

// The stack with segmentation offload is the stack without: the same oracles watch it over the same schedules.
func TestSchedulesWithBursts(t *testing.T) {
	schedulesWith(t, func(p *plan) { p.Bursts = true })
}

// schedulesWith plays the first schedules with a change to each.
func schedulesWith(t *testing.T, change func(*plan)) {
	n := uint64(1000)
	if testing.Short() {
		n = 100
	}
	for worker := range uint64(2) {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			for seed := 1 + worker; seed <= n && !t.Failed(); seed += 2 {
				p := drawPlan(seed)
				change(p)
				if r := p.run(); r.err != nil {
					report(t, p, r.err)
				}
			}
		})
	}
}

func TestTransferByBursts(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		l := Link{Delay: ms / 20}
		took := transfer(t, config{seed: 1, v6: v6, bursts: true, link: [2]Link{l, l}}, 1<<20)
		require.Less(t, took, second, "no timer is waited for")
	}
}

const burstAtLeast = 3 // segments, else they leave one by one

// What can leave as one does, and a lone segment does not.
func TestWhatLeavesAsOne(t *testing.T) {
	w := newWorld(t, config{seed: 9, bursts: true})
	a, b := w.pair()
	w.run(second)
	n := w.host[0].nic
	send := func(size int) (bursts int) {
		before := n.bursts
		_, err := a.Send(w.now, [][]byte{make([]byte, size)}, 0)
		require.NoError(t, err)
		w.until(second, "the data arrives", func() bool { return b.InQ() >= size })
		_, _, err = b.Recv(w.now, [][]byte{make([]byte, size)}, 0)
		require.NoError(t, err)
		return n.bursts - before
	}
	require.Zero(t, send(100))
	require.Zero(t, send(1448))
	require.Zero(t, send(2000), "two segments share a kick with what else is sent")
	for n.bursts == 0 { // one in eight is refused
		send(10 * 1448)
	}
	require.GreaterOrEqual(t, n.bursts, burstAtLeast)
}

func TestBurstsDoNotAllocate(t *testing.T) {
	w := newWorld(t, config{seed: 9, bursts: true})
	a, b := w.pair()
	w.run(second)
	w.direct()
	iov := [][]byte{make([]byte, 60_000)}
	for range 200 {
		move(t, w, a, b, iov)
	}
	before := w.host[0].nic.bursts
	require.Zero(t, testing.AllocsPerRun(100, func() { move(t, w, a, b, iov) }))
	require.Greater(t, w.host[0].nic.bursts, before+1000)
}

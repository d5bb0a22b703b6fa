package sim

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// bottleneck is a link of 20 Mbit/s and 20 ms round trip (33 packets of 1,500 bytes) with a queue of 200 packets, and
// flows from host 0 to host 1 that always have something to send.
type bottleneck struct {
	*world
	flows []*stream
	queue []int // packets in the queue, each millisecond
}

const (
	bottleRate = 20_000_000
	bottleBDP  = bottleRate / 50 / 8 / 1524
	// payload bytes a second of a full link: 1,448 of 1,524 with Ethernet's own
	bottleGoodput = bottleRate / 8 * 1448 / 1524
)

func newBottleneck(t *testing.T, seed uint64, loss float64, algorithms ...string) *bottleneck {
	there, back := Link{Delay: 10 * ms, Rate: bottleRate, Queue: 200, Loss: loss}, Link{Delay: 10 * ms}
	return newBottleneckOver(t, seed, [2]Link{there, back}, 0, algorithms...)
}

// newBottleneckOver is one over other links, with tcp_ecn at ecn.
func newBottleneckOver(t *testing.T, seed uint64, links [2]Link, ecn int, algorithms ...string) *bottleneck {
	b := &bottleneck{world: newWorld(t, config{seed: seed, link: links, frames: 8192,
		params: func(_ int, p *tcp.Params) { p.Congestion, p.ECN = algorithms[0], ecn }})}
	l, err := b.host[1].Listen(b.now, netip.AddrPortFrom(b.host[1].addr, 80), 8)
	require.NoError(t, err)
	for i, name := range algorithms {
		c := b.connect(uint16(40000 + i))
		const solTCP, congestion = 6, 13
		require.NoError(t, c.SetOption(b.now, solTCP, congestion, []byte(name)))
		s := b.send(c, b.accept(l), 1<<30)
		s.noShutdown = true
		b.flows = append(b.flows, s)
	}
	return b
}

// measure runs for d and tells each flow's bytes.
func (b *bottleneck) measure(d int64) (got []int) {
	for _, s := range b.flows {
		got = append(got, -s.got)
	}
	b.queue = b.queue[:0]
	b.runApps()
	for end := b.now + d; b.now < end; {
		b.run(ms)
		n := 0
		for _, out := range b.host[0].nic.inside {
			if out > b.now {
				n++
			}
		}
		b.queue = append(b.queue, n)
	}
	for i, s := range b.flows {
		require.NoError(b.t, s.err)
		got[i] += s.got
	}
	return got
}

// queued is the mean and the most of what measure saw.
func (b *bottleneck) queued() (mean float64, most int) {
	for _, n := range b.queue {
		mean += float64(n)
		most = max(most, n)
	}
	return mean / float64(len(b.queue)), most
}

const infoCwnd = 80 // tcpi_snd_cwnd

func info32(t *testing.T, w *world, s *usock.Socket, at int) uint32 {
	var b [232]byte
	_, err := s.Option(w.now, 6, 11, b[:])
	require.NoError(t, err)
	return uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24
}

// TestBBRFillsALinkWithoutFillingItsQueue: draft-ietf-ccwg-bbr: "high throughput with a low queue". After Startup the
// queue holds what three quanta and the probing need, a fraction of the BDP, and nothing is lost; CUBIC fills the queue.
func TestBBRFillsALinkWithoutFillingItsQueue(t *testing.T) {
	b := newBottleneck(t, 1, 0, "bbr")
	start := b.measure(second)[0]
	_, most := b.queued()
	require.Greater(t, start, bottleGoodput*9/10, "Startup takes a few round trips")
	require.Less(t, most, 3*bottleBDP, "and queues no more than its cwnd gain above one BDP")
	got := b.measure(8 * second)[0]
	mean, most := b.queued()
	require.Greater(t, got, bottleGoodput*8*98/100)
	require.Less(t, mean, bottleBDP/3.0)
	require.LessOrEqual(t, most, bottleBDP*2/3)
	require.Zero(t, b.dropped)
}

// TestBBRProbesTheRTT: every ten seconds four segments are in flight for 200 ms, which costs a fiftieth.
func TestBBRProbesTheRTT(t *testing.T) {
	b := newBottleneck(t, 2, 0, "bbr")
	b.measure(2 * second)
	least, probes := uint32(1000), 0
	for range 210 {
		was := least
		b.run(100 * ms)
		if least = info32(t, b.world, b.flows[0].from, infoCwnd); least <= 4 && was > 4 {
			probes++
		}
	}
	require.Equal(t, 2, probes)
	require.Greater(t, b.flows[0].got, bottleGoodput*23*96/100)
}

// TestBBRIsFairToItself: two flows of the same path share it, since both probe the round-trip time at once and the
// smaller one gains more by probing.
func TestBBRIsFairToItself(t *testing.T) {
	b := newBottleneck(t, 3, 0, "bbr", "bbr")
	b.measure(10 * second)
	got := b.measure(20 * second)
	share := float64(got[0]) / float64(got[0]+got[1])
	require.InDelta(t, 0.5, share, 0.1)
	require.Greater(t, got[0]+got[1], bottleGoodput*20*95/100)
	mean, _ := b.queued()
	require.Less(t, mean, 2.0*bottleBDP, "each keeps two BDP of its own share in flight")
	require.Zero(t, b.dropped)
}

// TestBBRBesideCubic: neither starves the other.
func TestBBRBesideCubic(t *testing.T) {
	b := newBottleneck(t, 4, 0, "bbr", "cubic")
	b.measure(5 * second)
	got := b.measure(20 * second)
	share := float64(got[0]) / float64(got[0]+got[1])
	require.InDelta(t, 0.5, share, 0.3)
	require.Greater(t, got[0]+got[1], bottleGoodput*20*97/100)
}

// TestBBRKeepsItsRateUnderRandomLoss is why version 1's answer to loss was kept: it has none.
func TestBBRKeepsItsRateUnderRandomLoss(t *testing.T) {
	for loss, least := range map[float64]int{0.01: 95, 0.05: 90} {
		b := newBottleneck(t, 5, loss, "bbr")
		require.Greater(t, b.measure(8 * second)[0], bottleGoodput*8*least/100, "%v lost", loss)
	}
}

// TestCubicFillsTheLink: CUBIC, HyStart++ and NewReno keep the link busy; HyStart++ leaves slow start before it overruns
// the queue by a whole window, as slow start alone does.
func TestCubicFillsTheLink(t *testing.T) {
	lost := map[string]int{}
	for _, name := range []string{"cubic", "reno"} {
		b := newBottleneck(t, 6, 0, name)
		b.measure(second)
		lost[name] = b.dropped
		require.Greater(t, b.measure(10 * second)[0], bottleGoodput*10*95/100, name)
	}
	require.Less(t, lost["cubic"], lost["reno"]/2)
}

// TestMaxPacingRate: SO_MAX_PACING_RATE bounds any algorithm.
func TestMaxPacingRate(t *testing.T) {
	for _, name := range []string{"cubic", "bbr"} {
		b := newBottleneck(t, 7, 0, name)
		const solSocket, maxPacing = 1, 47
		rate := []byte{0, 0, 4, 0} // 256 KiB a second
		require.NoError(t, b.flows[0].from.SetOption(b.now, solSocket, maxPacing, rate))
		b.measure(second)
		require.InEpsilon(t, 256<<10, b.measure(10 * second)[0]/10, 0.02, name)
		_, most := b.queued()
		require.LessOrEqual(t, most, 2, "bursts of two segments")
	}
}

package sim

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBBR3FillsALinkWithoutFillingItsQueue: as version 1, and Startup queues no more than its window of two BDP.
func TestBBR3FillsALinkWithoutFillingItsQueue(t *testing.T) {
	b := newBottleneck(t, 1, 0, "bbr3")
	start := b.measure(second)[0]
	_, most := b.queued()
	require.Greater(t, start, bottleGoodput*85/100, "Startup and Drain take a few round trips")
	require.Less(t, most, 2*bottleBDP)
	got := b.measure(12 * second)[0]
	mean, most := b.queued()
	require.Greater(t, got, bottleGoodput*12*95/100)
	require.Less(t, mean, bottleBDP/3.0)
	require.LessOrEqual(t, most, bottleBDP*5/4)
	require.Zero(t, b.dropped)
}

// TestBBR3SparesAShallowQueue: a queue of a third of the BDP overflows while version 1 probes, eight times a second; version
// 3 learns how much fits.
func TestBBR3SparesAShallowQueue(t *testing.T) {
	dropped := map[string]int{}
	for _, name := range []string{"bbr", "bbr3"} {
		b := newBottleneck(t, 2, 0, name)
		b.host[0].nic.link.Queue = 12
		b.measure(3 * second)
		was := b.dropped
		require.Greater(t, b.measure(20 * second)[0], bottleGoodput*20*94/100, name)
		dropped[name] = b.dropped - was
	}
	require.Less(t, dropped["bbr3"], dropped["bbr"]/2)
}

// TestBBR3IsFairToItself: whether the queue is deep or shallow.
func TestBBR3IsFairToItself(t *testing.T) {
	for _, queue := range []int{12, 200} {
		b := newBottleneck(t, 3, 0, "bbr3", "bbr3")
		b.host[0].nic.link.Queue = queue
		b.measure(10 * second)
		got := b.measure(20 * second)
		require.InDelta(t, 0.5, float64(got[0])/float64(got[0]+got[1]), 0.1, "queue %d", queue)
		require.Greater(t, got[0]+got[1], bottleGoodput*20*95/100)
	}
}

// TestBBR3BesideCubic: where version 1 takes nine tenths from CUBIC, because it does not answer to losses, version 3 shares.
func TestBBR3BesideCubic(t *testing.T) {
	for name, share := range map[string][2]float64{"bbr": {0.75, 1}, "bbr3": {0.4, 0.7}} {
		b := newBottleneck(t, 4, 0, name, "cubic")
		b.host[0].nic.link.Queue = 12
		b.measure(5 * second)
		got := b.measure(20 * second)
		first := float64(got[0]) / float64(got[0]+got[1])
		require.Greater(t, first, share[0], name)
		require.Less(t, first, share[1], name)
	}
}

// TestBBR3BesideVersion1 is why "bbr" is version 1, as in the kernel: beside it version 3 gets little of a shallow queue.
func TestBBR3BesideVersion1(t *testing.T) {
	b := newBottleneck(t, 4, 0, "bbr3", "bbr")
	b.host[0].nic.link.Queue = 40
	b.measure(5 * second)
	got := b.measure(20 * second)
	require.Less(t, float64(got[0])/float64(got[0]+got[1]), 0.4)
}

// TestBBR3UnderRandomLoss: 1 % costs a quarter at most, "its goal of tolerating 1% loss per round trip", and CUBIC more.
func TestBBR3UnderRandomLoss(t *testing.T) {
	b := newBottleneck(t, 5, 0.01, "bbr3")
	b.measure(3 * second)
	require.Greater(t, b.measure(20 * second)[0], bottleGoodput*20*70/100)
}

// TestBBR3FollowsTheLink: "Increasing Bandwidth 10x and Ensuring Full Bandwidth is Reached", "Decreasing Bandwidth 10x and
// Ensuring Max Bandwidth Adapts Down".
func TestBBR3FollowsTheLink(t *testing.T) {
	b := newBottleneck(t, 6, 0, "bbr3")
	link := &b.host[0].nic.link
	link.Rate, link.Queue = bottleRate/10, 20
	b.measure(5 * second)
	link.Rate, link.Queue = bottleRate, 200
	b.measure(8 * second)
	require.Greater(t, b.measure(5 * second)[0], bottleGoodput*5*90/100, "ten times more")
	link.Rate, link.Queue = bottleRate/10, 20
	b.measure(8 * second)
	b.dropped = 0
	require.Greater(t, b.measure(5 * second)[0], bottleGoodput/10*5*85/100, "ten times less")
	require.Less(t, b.dropped, 60, "of 820 packets")
}

// TestBBR3AnswersMarks: a link that marks instead of dropping: the queue stays short, as by losses, and nothing is lost.
func TestBBR3AnswersMarks(t *testing.T) {
	share := map[string]float64{}
	for _, name := range []string{"bbr", "bbr3"} {
		there := Link{Delay: 10 * ms, Rate: bottleRate, Queue: 200, Mark: 0.2}
		b := newBottleneckOver(t, 7, [2]Link{there, {Delay: 10 * ms}}, 1, name)
		b.measure(5 * second)
		share[name] = float64(b.measure(10 * second)[0]) / (10 * bottleGoodput)
	}
	require.Greater(t, share["bbr"], 0.95, "version 1 takes no notice")
	require.Less(t, share["bbr3"], 0.9)
	require.Greater(t, share["bbr3"], 0.2)
}

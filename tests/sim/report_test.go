package sim

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var reportDir = flag.String("report", "", "directory that TestReport writes its measurements to")

// picture is what plot draws: flows, each with what was seen of it every step.
type picture struct {
	Name  string
	Step  float64 // seconds
	Flows []track
}

// track is one flow: cwnd in segments, the round-trip time that the sender sees in milliseconds, Mbit/s of payload.
type track struct {
	Name               string
	Cwnd, RTT, Goodput []float64
}

// TestReport measures what congestion control does at a bottleneck of 20 Mbit/s and 20 ms, for make sim-report to draw: one
// flow of each algorithm with a deep queue (six times what the path holds) and a shallow one (a third), two flows that
// share, and one that SO_MAX_PACING_RATE holds at half the rate. Bufferbloat shows in the round-trip time: where the
// algorithm allows it, it grows to what the queue holds.
func TestReport(t *testing.T) {
	if *reportDir == "" {
		t.Skip("make sim-report")
	}
	require.NoError(t, os.MkdirAll(*reportDir, 0o755))
	for _, r := range []struct {
		name  string
		queue int
		pace  uint32 // bytes a second
		flows []string
	}{
		{"deep-reno", 200, 0, []string{"reno"}}, {"deep-cubic", 200, 0, []string{"cubic"}}, {"deep-bbr", 200, 0, []string{"bbr"}},
		{"deep-bbr3", 200, 0, []string{"bbr3"}},
		{"shallow-reno", 12, 0, []string{"reno"}}, {"shallow-cubic", 12, 0, []string{"cubic"}}, {"shallow-bbr", 12, 0, []string{"bbr"}},
		{"shallow-bbr3", 12, 0, []string{"bbr3"}},
		{"share-reno-reno", 60, 0, []string{"reno", "reno"}}, {"share-cubic-cubic", 60, 0, []string{"cubic", "cubic"}},
		{"share-bbr-bbr", 60, 0, []string{"bbr", "bbr"}}, {"share-bbr-cubic", 60, 0, []string{"bbr", "cubic"}},
		{"share-bbr3-bbr3", 60, 0, []string{"bbr3", "bbr3"}}, {"share-bbr3-cubic", 60, 0, []string{"bbr3", "cubic"}},
		{"share-bbr3-bbr", 60, 0, []string{"bbr3", "bbr"}},
		{"paced-cubic", 200, bottleRate / 16, []string{"cubic"}},
	} {
		b := newBottleneck(t, 40, 0, r.flows...)
		b.host[0].nic.link.Queue = r.queue
		if r.pace > 0 {
			setInt(t, b.world, b.flows[0].from, solSocket, soMaxPacing, r.pace)
		}
		p := b.watchFlows(t, r.name, r.flows, 20*second, 50*ms)
		for _, f := range p.Flows {
			t.Logf("%-18s %-6s round trip %5.1f ms, goodput %5.2f Mbit/s, %4d packets lost", r.name, f.Name, mean(f.RTT), mean(f.Goodput), b.dropped)
		}
		j, err := json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(*reportDir, r.name+".json"), j, 0o644))
	}
}

const infoRTT = 68 // tcpi_rtt in µs

// watchFlows runs for d and looks at every flow each step.
func (b *bottleneck) watchFlows(t *testing.T, name string, flows []string, d, step int64) *picture {
	p := &picture{Name: name, Step: float64(step) / 1e9}
	before := make([]int, len(flows))
	for _, f := range flows {
		p.Flows = append(p.Flows, track{Name: f})
	}
	b.runApps()
	for end := b.now + d; b.now < end; {
		b.run(step)
		for i, s := range b.flows {
			require.NoError(t, s.err)
			f := &p.Flows[i]
			f.Cwnd = append(f.Cwnd, float64(info32(t, b.world, s.from, infoCwnd)))
			f.RTT = append(f.RTT, float64(info32(t, b.world, s.from, infoRTT))/1000)
			f.Goodput = append(f.Goodput, float64(s.got-before[i])*8/1e6/p.Step)
			before[i] = s.got
		}
	}
	return p
}

func mean(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

package demo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableShowsMediansAndWhoIsBetter(t *testing.T) {
	rep := Report{
		Kernel: Path{Web: []WebRound{{10, 400, 900}, {30, 200, 800}, {20, 300, 700}}, Ping: []PingRound{{20, 40}}, Connections: 64},
		Sluice: Path{Web: []WebRound{{40, 100, 1600}}, Ping: []PingRound{{10, 80}}, Packets: 1234},
	}
	var out strings.Builder
	rep.print(&out)
	var lines []string
	for _, l := range strings.Split(out.String(), "\n") {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	require.Equal(t, []string{
		"kernel sluice sluice is better by",
		"nginx requests/s 20 40 2.00x",
		"nginx p50 (us) 300 100 3.00x",
		"nginx p99 (us) 800 1600 0.50x",
		"ping-pong p50 (us) 20.0 10.0 2.00x",
		"ping-pong p99 (us) 40.0 80.0 0.50x",
		"packets through hidden queues 0 1234",
		"connections from the kernel 64 0",
		"",
	}, lines)
}

func TestNothingMeasuredHasNoRatio(t *testing.T) {
	require.Equal(t, "-", row{more: true, sluice: 3}.ratio())
}

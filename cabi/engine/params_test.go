package engine

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCongestionKnob: SLUICE_CONGESTION counts before the host's sysctl, "host" is that.
func TestCongestionKnob(t *testing.T) {
	for value, want := range map[string]string{"bbr3": "bbr3", "reno": "reno", "host": readParams().Congestion, "vegas": readParams().Congestion} {
		b := Boot{Env: []string{"SLUICE_CONGESTION=" + value}}
		require.Equal(t, want, b.params().Congestion, value)
	}
}

func TestSettingsAreTheHosts(t *testing.T) {
	p := readParams()
	want := strings.Fields(readSmall("/proc/sys/net/ipv4/tcp_retries2"))
	require.Len(t, want, 1)
	n, err := strconv.Atoi(want[0])
	require.NoError(t, err)
	require.Equal(t, n, p.Retries2)
	for _, s := range sysctls {
		require.NotEmpty(t, readSmall("/proc/sys/net/"+s.name), s.name)
	}
	require.Empty(t, readSmall("/proc/sys/net/ipv4/no_such_thing"))
}

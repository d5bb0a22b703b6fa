package procfs

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPULine(t *testing.T) {
	c, err := parseCPU("cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 2 3\n")
	require.NoError(t, err)
	ms := time.Millisecond
	require.Equal(t, CPU{User: 1200 * ms, System: 300 * ms, Idle: 40500 * ms, IRQ: 130 * ms, Steal: 80 * ms}, c)
	require.Equal(t, 1630*ms, c.Busy())
	_, err = parseCPU("intr 5\n")
	require.Error(t, err)
}

func TestProcessNamesMayHoldAnything(t *testing.T) {
	u, err := parseStat("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0 900 4096 3 18446744073709551615 1")
	require.NoError(t, err)
	require.Equal(t, Usage{User: 1500 * time.Millisecond, System: 250 * time.Millisecond}, u)
	_, err = parseStat("12 (x) S 1")
	require.Error(t, err)
}

func TestOpensFromSNMP(t *testing.T) {
	o, err := parseSNMP("Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 20 300\n")
	require.NoError(t, err)
	require.Equal(t, Opens{Active: 20, Passive: 300}, o)
	_, err = parseSNMP("Tcp: RtoAlgorithm\nTcp: 1\n")
	require.Error(t, err)
	_, err = KernelOpens()
	require.NoError(t, err)
}

func TestTreeHasGrandchildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sh -c 'read x; true'; true")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer cmd.Wait()
	defer in.Close()
	require.Eventually(t, func() bool { return len(Tree(cmd.Process.Pid)) == 2 }, 15*time.Second, 5*time.Millisecond)
	require.NotZero(t, TreeUsage(cmd.Process.Pid).Anon)
}

func TestThisMachine(t *testing.T) {
	m := Look()
	require.NotZero(t, m.Cores)
	require.NotZero(t, m.MemoryMiB)
	require.NotEmpty(t, m.Kernel)
	c, err := MachineCPU()
	require.NoError(t, err)
	require.NotZero(t, c.Busy())
}

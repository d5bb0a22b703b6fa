package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/path"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Octets taken and sent before the engine is entered are the same as ever, whoever is at the other end, and whatever else happens to the
// connection: it loses packets, is watched, moves to the kernel and back.
func TestPlainCase(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.echo()
	x.waitAccelerated()
	x.finish(x.call(nil, 1, 3000))
	testrig.Until(t, "the counters", func() bool { return r.plainCounts()["SluicePlainReads"] > 300 })
	before := r.plainCounts()
	require.Greater(t, before["SluicePlainSends"], uint64(300))
	x.finish(x.call(x.both, 2, 3000))
	testrig.Until(t, "the counters", func() bool {
		now := r.plainCounts()
		return now["SluicePlainReads"] > before["SluicePlainReads"]+300 && now["SluicePlainSends"] > before["SluicePlainSends"]+300
	})
	moving := x.call(x.both, 3, 6000)
	for range 10 { // some come too late
		for _, verb := range []string{"detach", "attach"} {
			_, _ = r.Server.Run(testrig.Built(t, "sluice"), verb, fmt.Sprint(x.server.Pid()), "--socket", r.Socket())
		}
	}
	x.finish(moving)
	testrig.Until(t, "moves to be counted", func() bool { return r.plainCounts()["SluiceHandOvers"] > 0 })
}

// The same where packets get lost and overtaken, and no device finishes a checksum.
func TestPlainCaseOverABadLink(t *testing.T) {
	r := newRig(t, testbed.Config{Middle: true})
	bad, err := path.Start(r.Bed, 1500)
	require.NoError(t, err)
	t.Cleanup(bad.Close)
	x := r.echo()
	x.waitAccelerated()
	link := path.Link{Loss: 0.005, Reorder: 0.02, Hold: 200 * time.Microsecond}
	bad.Set(link, link, 1)
	x.finish(x.call(nil, 4, 800))
	x.finish(x.call(x.both, 5, 800))
	require.Positive(t, bad.Counters().Lost)
	require.Greater(t, r.plainCounts()["SluicePlainSends"], uint64(100))
}

// echo is testdata/echo.c, serving.
type echo struct {
	r             *rig
	program, addr string
	both          []string // environment of a client that is accelerated too
	server        *testrig.Proc
}

func (r *rig) echo() *echo {
	x := &echo{r: r, program: r.Dir + "/echo", addr: r.Server.IPv4.String()}
	out, err := exec.Command("gcc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o", x.program, "testdata/echo.c").CombinedOutput()
	require.NoError(r.T, err, string(out))
	x.both = append(r.Env(), "SLUICE_CONNECT="+x.addr+":9000")
	x.server = testrig.Start(r.T, r.Server, append(r.Env(), "SLUICE_LISTEN=9000"), testrig.Built(r.T, "sluice"), "run", "--", x.program, "serve", x.addr, "9000", "1")
	return x
}

func (x *echo) waitAccelerated() {
	testrig.Until(x.r.T, "the first accelerated connection", func() bool {
		_, err := x.r.Client.Run(x.program, "call", x.addr, "9000", "1", "1")
		return err == nil && x.r.packets() > 0
	})
}

func (x *echo) call(env []string, seed, rounds int) *testrig.Proc {
	args := []string{x.program, "call", x.addr, "9000", fmt.Sprint(seed), fmt.Sprint(rounds)}
	if env != nil {
		args = append([]string{testrig.Built(x.r.T, "sluice"), "run", "--"}, args...)
	}
	return testrig.Start(x.r.T, x.r.Client, env, args[0], args[1:]...)
}

func (x *echo) finish(p *testrig.Proc) {
	x.r.T.Helper()
	require.NoError(x.r.T, p.Wait(4*testrig.Patience), p.Output())
	require.Contains(x.r.T, p.Output(), "octets")
}

// plainCounts are the server's counters.
func (r *rig) plainCounts() map[string]uint64 {
	var report struct {
		Processes []struct{ Counters map[string]uint64 }
	}
	out := testrig.Run(r.T, r.Server, testrig.Built(r.T, "sluice"), "netstat", "--json", "--socket", r.Socket())
	require.NoError(r.T, json.Unmarshal([]byte(out), &report))
	sum := map[string]uint64{}
	for _, p := range report.Processes {
		for name, n := range p.Counters {
			sum[name] += n
		}
	}
	return sum
}

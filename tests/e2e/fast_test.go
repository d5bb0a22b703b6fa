package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/wrk"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Without its short cuts the whole does the same: every other test here runs with all of them.
func TestWithoutShortCuts(t *testing.T) {
	r := newRig(t, testbed.Config{})
	x := r.nginx(append(r.Env(), "SLUICE_FAST=none"), []string{testrig.Built(t, "sluice"), "run", "--"})
	r.waitAccelerated(x)
	r.load(x)
}

// The ACK of a request is not a packet of its own if the answer takes it along..
func TestAnAnswerCarriesTheACK(t *testing.T) {
	var each []float64
	for _, fast := range []string{"all", "batch,checksum,cork,peek,plain,prefetch,tso"} {
		r := newRig(t, testbed.Config{})
		x := r.nginx(append(r.Env(), "SLUICE_FAST="+fast), []string{testrig.Built(t, "sluice"), "run", "--"})
		r.waitAccelerated(x)
		before := r.received().packets
		w := testrig.Start(t, r.Client, nil, "wrk", "-t1", "-c16", "-d1s", "-H", "Connection: close", fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		require.NoError(t, w.Wait(2*testrig.Patience))
		res, err := wrk.Parse(w.Output())
		require.NoError(t, err)
		require.Greater(t, res.Requests, 20)
		each = append(each, float64(r.received().packets-before)/float64(res.Requests))
	}
	t.Logf("packets of the server a page: %.2f", each)
	require.InDelta(t, 1, each[1]-each[0], 0.3)
}

// Nor is that of a SYN-ACK if the request takes it along, nor that of the last answer and its FIN if our own FIN does.
func TestAClientsRequestAndFINCarryItsACKs(t *testing.T) {
	var each []float64
	for _, fast := range []string{"all", "batch,checksum,cork,peek,plain,prefetch,tso"} {
		r := newRig(t, testbed.Config{})
		x := r.nginx(nil, nil)
		env := append(r.Env(), "SLUICE_FAST="+fast, "SLUICE_LISTEN=none", fmt.Sprintf("SLUICE_CONNECT=*:%d", x.Port))
		before := r.traffic("TX:").packets
		out, errs, err := testrig.Try(r.Client, env, testrig.Built(t, "sluice"), "run", "--", "wrk", "-t1", "-c16", "-d1s", "-H", "Connection: close",
			fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port))
		require.NoError(t, err, errs)
		res, err := wrk.Parse(out)
		require.NoError(t, err)
		require.Zero(t, res.Errors, out)
		require.Greater(t, res.Requests, 20)
		each = append(each, float64(r.traffic("TX:").packets-before)/float64(res.Requests))
	}
	t.Logf("packets of the client a page: %.2f", each)
	require.InDelta(t, 2, each[1]-each[0], 0.4)
}

// A device that can't finish checksums: the kernel does it in its place, as the engine asks. The client's kernel checks every one.
func TestChecksumsForADeviceThatCannot(t *testing.T) {
	r := newRig(t, testbed.Config{})
	testrig.Run(t, r.Server, "ethtool", "-K", r.Server.Device, "tx", "off")
	x := r.accelerated()
	r.waitAccelerated(x)
	r.load(x)
	lines := strings.Split(testrig.Run(t, r.Client, "grep", "^Tcp:", "/proc/net/snmp"), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	at := slices.Index(names, "InCsumErrors")
	require.Positive(t, at)
	require.Equal(t, "0", values[at], "segments whose checksum is wrong")
}

// load asks for a page again and again, over connections that stay and over ones that don't.
func (r *rig) load(x *server) {
	t := r.T
	url := fmt.Sprintf("http://%s:%d/index.html", r.Server.IPv4, x.Port)
	for _, args := range [][]string{{url}, {"-H", "Connection: close", url}} {
		before := r.packets()
		w := testrig.Start(t, r.Client, nil, "wrk", append([]string{"-t1", "-c16", "-d1s"}, args...)...)
		require.NoError(t, w.Wait(2*testrig.Patience))
		res, err := wrk.Parse(w.Output())
		require.NoError(t, err)
		require.Zero(t, res.Errors, w.Output())
		require.NotZero(t, res.Requests)
		require.GreaterOrEqual(t, r.packets()-before, uint64(2*res.Requests), "packets through the hidden queues")
	}
}

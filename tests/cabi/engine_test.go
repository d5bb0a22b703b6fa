package cabi

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

func TestEchoOverBothFamilies(t *testing.T) {
	r := newRig(t, 4)
	d := r.start(r.bed.Server)
	r.listen(d, at(netip.IPv6Unspecified(), 8080), 4)
	for _, a := range []netip.Addr{r.bed.Server.IPv4, r.bed.Server.IPv6} {
		c := r.dial(r.bed.Client, at(a, 8080))
		h := d.want("accepted ")
		require.NotEqual(t, "kernel", h, "through the engine")
		r.echoed(c, "hello")
		require.NoError(t, c.Close())
		d.want("closed " + h)
	}
	d.say("quit")
	d.want("stop 0")
}

func TestBulkArrivesWhole(t *testing.T) {
	r := newRig(t, 2)
	d := r.start(r.bed.Server)
	r.listen(d, at(r.bed.Server.IPv4, 8080), 2)
	c := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	data := make([]byte, 8<<20)
	for i, src := 0, rand.New(rand.NewPCG(1, 2)); i < len(data); i++ {
		data[i] = byte(src.Uint32())
	}
	go func() { _, _ = io.Copy(c, bytes.NewReader(data)) }()
	sum := sha256.New()
	_, err := io.CopyN(sum, c, int64(len(data)))
	require.NoError(t, err)
	want := sha256.Sum256(data)
	require.Equal(t, want[:], sum.Sum(nil))
	d.say("stats")
	require.Contains(t, d.want("stats"), "panics 0")
}

func TestConnect(t *testing.T) {
	r := newRig(t, 2)
	server := r.start(r.bed.Server)
	r.listen(server, at(r.bed.Server.IPv4, 8080), 2)
	client := r.start(r.bed.Client)
	client.say("connect %v 8080", r.bed.Server.IPv4)
	require.Equal(t, "0", client.want("connect"))
	server.want("accepted 1")
	client.say("send 0 ping")
	client.want("sent")
	require.Contains(t, client.want("got 0"), "ping")
}

func TestNewBrokerTakesOver(t *testing.T) {
	r := newRig(t, 2)
	d := r.start(r.bed.Server)
	r.listen(d, at(r.bed.Server.IPv4, 8080), 2)
	c := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted 1")
	r.echoed(c, "by the engine")
	r.stopBroker()
	r.startBroker()
	other := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted")
	r.echoed(other, "somebody serves")
}

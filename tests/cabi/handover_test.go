package cabi

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHandoverKeepsTheConnection(t *testing.T) {
	r := newRig(t, 2)
	d := r.start(r.bed.Server)
	r.listen(d, at(r.bed.Server.IPv4, 8080), 2)
	c := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted 1")
	r.echoed(c, "by the engine")
	d.say("handover")
	d.want("handover 1 ok")
	r.echoed(c, "by the kernel")
	r.echoed(c, strings.Repeat("long ", 20000))
	d.want("moved 1")
}

func TestClosedListenerDrainsToTheKernel(t *testing.T) {
	r := newRig(t, 2)
	d := r.start(r.bed.Server)
	r.listen(d, at(r.bed.Server.IPv4, 8080), 2)
	c := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted 1")
	r.echoed(c, "by the engine")
	d.say("unlisten")
	d.want("unlisten 0")
	r.echoed(c, "still there")
	d.want("moved 1")
	r.echoed(c, "by the kernel")

	d.say("stats")
	require.Contains(t, d.want("stats"), "panics 0")
	other := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted kernel")
	r.echoed(other, "the kernel's listener goes on")
}

func TestExitWithUnsentDataIsFinishedByTheKernel(t *testing.T) {
	r := newRig(t, 1)
	d := r.start(r.bed.Server)
	r.listen(d, at(r.bed.Server.IPv4, 8080), 1)
	c := r.dial(r.bed.Client, at(r.bed.Server.IPv4, 8080))
	d.want("accepted 1")
	r.echoed(c, "hello")
	d.say("send 1 last words")
	d.want("sent")
	d.say("quit")
	d.want("stop 0")
	<-d.ended
	got, err := io.ReadAll(c)
	require.NoError(t, err, "a FIN, no reset")
	require.Contains(t, string(got), "last words")
}

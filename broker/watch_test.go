package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The XDP program passes what is sent to another link address than the device's: it has to know when that changes.
func TestAnotherLinkAddressIsFollowed(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	e := h.engine()
	e.ready(e.listen(kernelListener(t, "127.0.0.1:0")))
	other := [6]byte{2, 0, 0, 0, 0, 9}
	h.k.set(func() { h.k.devices[0].MAC = other })
	for _, s := range h.b.spaces {
		s.linkChanged(7, false)
	}
	require.True(t, h.see(func(p *fakeProgram) bool { return p.mac == other }))
}

package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever listens on every address gets the devices that can, and is told of the others.
func TestUnfitDevicesAreNamed(t *testing.T) {
	h := newFakeHost(t, 2, nil)
	add := func(kind string, ethernet bool) {
		n := h.k.devices[0]
		n.Name, n.Ifindex, n.Kind, n.Ethernet = kind+"0", 8+len(h.k.devices), kind, ethernet
		h.k.devices = append(h.k.devices, n)
	}
	add("bond", true)
	add("vlan", true)
	add("bridge", true)
	add("tuntap", true)
	add("wireguard", false)
	e := h.engine()
	g := e.listen(kernelListener(t, ":0"))
	require.Len(t, g.VIs, 2)
	for i, why := range []string{
		"bond0 left out: a device of kind bond: its packets come by the queues of its members",
		"vlan0 left out: the device below it is not known",
		"bridge0 left out: a device of kind bridge: packets come joined",
		"tuntap0 left out: a device of kind tuntap, which was never tried",
		"wireguard0 left out: its packets have no Ethernet header",
	} {
		require.Contains(t, g.Notes[i], why)
	}
	h.k.set(func() { h.k.devices = h.k.devices[3:4] })
	_, err := h.engine().tryListen(kernelListener(t, ":0"))
	require.ErrorContains(t, err, "bridge0 left out")
}

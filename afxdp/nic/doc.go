// Package nic takes queues of a device for a program that wants some of its packets and needs no broker: a sink, a
// forwarder, a tool that measures. The kernel keeps the device, and every packet that the filter does not choose.
//
//	pd, err := nic.NewPD("sink", 1024)             // a protection domain: registered memory
//	port, err := pd.Open("eth0", efvi.IPLocal(efvi.UDP, netip.AddrPortFrom(ip, 9)), 512)
//	for { n := port.VIs[0].Poll(events[:]) ... }
//
// It needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF in the calling thread's network namespace. All of it ends with the process.
// efvi/examples holds programs of this kind.
package nic

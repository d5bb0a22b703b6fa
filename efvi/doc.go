// Package efvi is the virtual interface between a user-space stack and a packet queue.
//
// The words are those of EF_VI: a protection domain is a piece of registered memory cut into
// frames, and a VI is one receive and one transmit queue over that memory. A frame belongs to
// exactly one side at a time:
//
//	        Post                      EventRX
//	pool ───────────► receive ring ───────────► stack
//	pool ───────────► transmit ring ──────────► pool
//	        Send                      EventTX
//
// Frames are named by their index, so that nothing on the way has to allocate: the bytes of
// frame i are Memory.Bytes[i*FrameSize : (i+1)*FrameSize].
//
// EF_VI's nouns, and who has them here:
//
//	driver              afxdp/nic: devices with XDP; loop: none, for tests
//	protection domain   nic.PD; its registered memory is a Memory
//	virtual interface   VI: at most eight methods, which are all that a driver has to write
//	VI set              nic.Port: a VI for each queue of a device, behind one filter
//	filter              FilterSpec: ip4 and ip6, local and full, on a VLAN; MAC address, Ethernet type, all unicast or multicast
//	event poll          VI.Poll: EventRX, EventTX, EventDiscard
//	prime and wait      VI.FD and nic.Port.Wait: nothing has to be primed, as a descriptor is readable while packets wait
//	transmit            VI.Send, VI.Flush; with segmentation or a checksum left to the device: Burster, Summer
//
//	timestamps          Timed: when packets came and left, and when they are to leave, as far as driver and kernel go (nic.PD.OpenTimed)
//
// A VI belongs to one thread of control at a time; none of its methods may be called at the same
// time as another. afxdp implements a VI over an AF_XDP socket. The packages beside this one make
// or wrap VIs without any device: loop joins two of them in memory, fault loses and damages
// frames by a seed, trace writes what passes to a pcapng file, mirror shows it to another process; watch is what those two share.
// The programs under examples use a device.
package efvi

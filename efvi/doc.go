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
// A VI belongs to one thread of control at a time; none of its methods may be called at the same
// time as another. afxdp implements a VI over an AF_XDP socket. The packages beside this one make
// or wrap VIs without any device: loop joins two of them in memory, fault loses and damages
// frames by a seed, trace writes what passes to a pcapng file.
package efvi

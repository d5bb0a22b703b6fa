// Package afxdp is an efvi.VI over an AF_XDP socket.
//
// The work is split between two processes. OpenQueue runs with privilege: it makes the socket,
// registers the umem (a memfd, so that it can be handed on), makes the four rings and binds all of
// it to one queue of one device. Map runs without any: given the socket and the memfd it maps the
// rings and moves packets.
//
//	            user                        kernel
//	fill        producer ── free frames ──► consumer
//	rx          consumer ◄── packets ────── producer
//	tx          producer ── packets ──────► consumer
//	completion  consumer ◄── sent frames ── producer
//
// Each socket registers the same memory by itself, so that queues come and go independently; in
// copy mode the kernel only ever touches frames that were posted or sent through that very socket.
package afxdp

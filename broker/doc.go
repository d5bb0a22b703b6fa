// Package broker holds what sluice needs privilege for: it attaches the XDP program, opens AF_XDP queues over memory it shares with a
// program's engine, says which connections go there, moves connections to and from the kernel, and clears up after the dead.
//
//	socket.go     the listening socket, doors and the channels opened through them
//	client.go     one process: who it is (hello.go), what it asks (ops.go), when it ends (death.go)
//	space.go      network namespaces; devices.go: what is in them (kinds.go: what can be used)
//	device.go     one device that is being used: queues, listener entries, flows
//	reconcile.go  who should have which queue (divide.go), and the way there (yield.go, ready.go)
//	handover.go, orphan.go, bare.go, want.go, stray.go, whose.go   connections that change hands
//	adopt.go      after a restart; pins.go: where things are pinned; estate.go: what programs left that died meanwhile (manager.go)
//
// All state is under one lock, which is never held while waiting for a program.
package broker

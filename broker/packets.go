package broker

import (
	"time"

	"golang.org/x/sys/unix"
)

// membarrierGlobal (linux/membarrier.h) returns when every processor has left what it was at: the kernel does it by synchronize_rcu, and a poll of a
// device's queue, from the XDP program to the socket, is one read-side section.
const membarrierGlobal = 1

// afterPackets closes a channel when every packet that met an XDP program by now has come to its end. One goroutine serves all who ask meanwhile.
// Needs the lock.
func (b *Broker) afterPackets(done chan struct{}) {
	b.draining = append(b.draining, done)
	if len(b.draining) == 1 {
		b.goDo(b.drainAll)
	}
}

func (b *Broker) drainAll() {
	for n := 0; ; {
		b.mu.Lock()
		for _, c := range b.draining[:n] {
			close(c)
		}
		b.draining = append(b.draining[:0], b.draining[n:]...)
		n = len(b.draining)
		b.mu.Unlock()
		if n == 0 {
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
			time.Sleep(takenLife)
		}
	}
}

package afxdp

import (
	"errors"
	"os"
)

// Queue is one receive queue of a device, taken by an AF_XDP socket.
type Queue struct {
	fd     int
	layout Layout
}

// OpenQueue takes queue of the device ifindex in the calling thread's network namespace, over the
// memory of mem. It needs CAP_NET_ADMIN and CAP_NET_RAW there. Zero-copy is tried first.
func OpenQueue(ifindex, queue int, mem *os.File, cfg RingConfig) (*Queue, error) {
	return nil, errors.ErrUnsupported
}

// FD is the socket.
func (q *Queue) FD() int { return q.fd }

// Layout is what Map needs beside the socket.
func (q *Queue) Layout() Layout { return q.layout }

// Close gives the queue back, once no other process holds the socket.
func (q *Queue) Close() error { return nil }

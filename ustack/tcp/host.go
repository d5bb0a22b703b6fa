package tcp

import "github.com/sluice-net/sluice/ustack/pbuf"

// Host is what all connections of one stack share.
type Host struct {
	Params *Params
	Pool   *pbuf.Pool
	Rand   func() uint64
	MIB    MIB
	Waits  TimeWaits

	send    *SendMem
	orphans int // connections the program has closed
}

// NewHost makes the shared part of a stack's connections over a pool of frames. rand is a source of unpredictable
// numbers.
func NewHost(p *Params, pool *pbuf.Pool, rand func() uint64) *Host {
	return &Host{Params: p, Pool: pool, Rand: rand, send: NewSendMem(pool)}
}

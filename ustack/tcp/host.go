package tcp

import (
	"encoding/binary"

	"github.com/sluice-net/sluice/ustack/pbuf"
)

// Host is what all connections of one stack share.
type Host struct {
	Params  *Params
	Pool    *pbuf.Pool
	Rand    func() uint64
	MIB     MIB
	Waits   TimeWaits
	Answers Answers

	// NewConn makes the memory of a connection, all zero; nil: new.
	NewConn func() *Conn

	send       *SendMem
	secret     Secret
	orphans    int // connections the program has closed
	challenges challengeBudget
	fastOpen   fastCache
	head       Header        // see header
	half       halfOpen      // the SYN at hand, for the same reason
	ooo        []*reassembly // not in use
}

// header is an empty header for the one segment that is being made; its own variable would be allocated, since it goes
// through an interface.
func (h *Host) header() *Header {
	h.head = Header{}
	return &h.head
}

// NewHost makes the shared part of a stack's connections over a pool of frames. rand is a source of unpredictable
// numbers.
func NewHost(p *Params, pool *pbuf.Pool, rand func() uint64) *Host {
	h := &Host{Params: p, Pool: pool, Rand: rand, send: NewSendMem(pool)}
	binary.NativeEndian.PutUint64(h.secret[:8], rand())
	binary.NativeEndian.PutUint64(h.secret[8:], rand())
	h.Waits.init(h)
	return h
}

// SetSecret replaces the secret, before there is a connection.
func (h *Host) SetSecret(k *Secret) { h.secret = *k }

func (h *Host) newConn() *Conn {
	if h.NewConn == nil {
		return new(Conn)
	}
	return h.NewConn()
}

// Orphans is how many connections go on after the program closed them.
func (h *Host) Orphans() int { return h.orphans }

// SendStats are the counters of the sending halves.
func (h *Host) SendStats() *SendStats { return &h.send.Stats }

func (h *Host) isn(now int64, f *Flow) Seq { return ISN(now, &h.secret, f.Local, f.Remote) }

func (h *Host) tsOffset(f *Flow) uint32 { return TSOffset(&h.secret, f.Local.Addr(), f.Remote.Addr()) }

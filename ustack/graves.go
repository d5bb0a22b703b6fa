package ustack

// graves remember flows that were handed to the kernel. Packets of them may still lie in our rings; answering those
// with a reset would end the kernel's connection. They are dropped instead: the peer sends them again, to the kernel.
type graves struct {
	ring [256]grave
	next int
	last int64 // when the youngest may be forgotten
}

type grave struct {
	key   key
	until int64
}

// graveLife is longer than a packet stays in a ring.
const graveLife = 5_000_000_000

func (g *graves) add(k key, now int64) {
	g.last = now + graveLife
	g.ring[g.next] = grave{k, g.last}
	g.next = (g.next + 1) % len(g.ring)
}

func (g *graves) drop(k key) {
	for i := range g.ring {
		if g.ring[i].key == k {
			g.ring[i].until = 0
		}
	}
}

func (g *graves) has(k *key, now int64) bool {
	if g.last <= now {
		return false
	}
	for i := range g.ring {
		if g.ring[i].until > now && g.ring[i].key == *k {
			return true
		}
	}
	return false
}

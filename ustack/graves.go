package ustack

// graves remember flows that were handed to the kernel. Packets of them may still lie in our rings; answering those
// with a reset would end the kernel's connection. They are dropped instead: the peer sends them again, to the kernel.
type graves struct {
	until map[key]int64
	last  int64 // when the youngest may be forgotten
	sweep int64 // when the old ones are cleared away
}

const (
	// graveLife is longer than a packet stays in a ring.
	graveLife = 5_000_000_000
	// maxGraves bounds the memory: past it a flow is not remembered, and a packet of it that is still under way is
	// answered as a stranger's.
	maxGraves = 1 << 17
)

func (g *graves) add(k key, now int64) {
	if g.until == nil {
		g.until = map[key]int64{}
	}
	if now >= g.sweep || len(g.until) >= maxGraves {
		g.clear(now)
	}
	if len(g.until) < maxGraves {
		g.last = now + graveLife
		g.until[k] = g.last
	}
}

func (g *graves) clear(now int64) {
	for k, until := range g.until {
		if until <= now {
			delete(g.until, k)
		}
	}
	g.sweep = now + graveLife
}

func (g *graves) drop(k key) { delete(g.until, k) }

func (g *graves) has(k *key, now int64) bool {
	return g.last > now && g.until[*k] > now
}

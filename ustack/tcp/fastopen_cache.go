package tcp

import "net/netip"

// fastPair is what cookies are remembered by: "the client should cache at most one (most recently received) cookie per
// client and server IP address pair." RFC 7413 §4.1.3
type fastPair struct{ local, remote netip.Addr }

// fastEntry is what a server told: "When caching cookies, we recommend that the client also cache the Maximum Segment Size
// (MSS) advertised by the server." RFC 7413 §4.1.3. Negative answers (§4.1.3.1) are not remembered, as in Linux unless
// tcp_fastopen_blackhole_timeout_sec is set.
type fastEntry struct {
	pair   fastPair
	mss    uint16
	tryExp uint8 // the form of before RFC 7413: 1 is to be tried, 2 was tried in vain
	cookie fastCookie
}

// fastCache is the host's Fast Open memory: its own keys, and the cookies of the servers that were met last.
type fastCache struct {
	keys *FastOpenKeys
	at   map[fastPair]int32
	ring []fastEntry // when it is full the oldest entry is forgotten
	next int
}

// fastKept bounds the entries; Linux keeps about as many in its table of metrics.
const fastKept = 1024

func (m *fastCache) find(p fastPair) *fastEntry {
	i, ok := m.at[p]
	if !ok {
		return nil
	}
	return &m.ring[i]
}

// set notes what a SYN-ACK told. A cookie stays until another one comes.
func (m *fastCache) set(p fastPair, mss uint16, c fastCookie, tryExp uint8) {
	e := m.find(p)
	if e == nil {
		e = m.add(p)
	}
	if mss > 0 {
		e.mss = mss
	}
	switch {
	case c.n > 0:
		e.cookie = c
	case tryExp > e.tryExp && e.cookie.n <= 0:
		e.tryExp = tryExp
		e.cookie.exp = tryExp == 1
	}
}

func (m *fastCache) add(p fastPair) *fastEntry {
	if m.at == nil {
		m.at = map[fastPair]int32{}
	}
	i := m.next
	if len(m.ring) < fastKept {
		m.ring = append(m.ring, fastEntry{})
		i = len(m.ring) - 1
	} else {
		delete(m.at, m.ring[i].pair)
		m.next = (i + 1) % fastKept
	}
	m.ring[i] = fastEntry{pair: p}
	m.at[p] = int32(i)
	return &m.ring[i]
}

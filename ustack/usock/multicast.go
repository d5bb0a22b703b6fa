package usock

const (
	ipMultiTTL    = 33
	ipv6MultiIf   = 17
	ipv6MultiHops = 18
)

// SetFirstTTL notes the TTL or hop limit of the packet that made the connection.
func (s *Socket) SetFirstTTL(ttl uint8) { s.firstTTL = ttl }

// multicast is what the kernel keeps of the packet that made an accepted connection: "newinet->mc_ttl = ip_hdr(skb)->ttl", "newnp->mcast_hops =
// ipv6_hdr(skb)->hop_limit", "newnp->mcast_oif = inet_iif(skb)".
func (s *Socket) multicast(level, name int) (int, bool) {
	if s.firstTTL == 0 {
		return 0, false
	}
	switch {
	case level == solIP && name == ipMultiTTL && s.Remote().Addr().Unmap().Is4(), level == solIPv6 && name == ipv6MultiHops:
		return int(s.firstTTL), true
	case level == solIPv6 && name == ipv6MultiIf:
		return int(s.rxIfindex), true
	}
	return 0, false
}

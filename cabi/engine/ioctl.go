package engine

import (
	"github.com/sluice-net/sluice/ustack/tcp"
	"github.com/sluice-net/sluice/ustack/usock"
)

// Requests of ioctl(2) that x/sys does not name (linux/sockios.h).
const (
	siocOutQNSD = 0x894b
	siocAtMark  = 0x8905
)

// connected tells whether getpeername(2) has an answer: "if (peer) { if (!inet->inet_dport || ((1 << sk->sk_state) &
// (TCPF_CLOSE | TCPF_SYN_SENT))) return -ENOTCONN" inet_getname.
func connected(s *usock.Socket) bool {
	st := s.State()
	return st != tcp.Closed && st != tcp.SynSent && st != tcp.Listening
}

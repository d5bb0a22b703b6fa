package broker

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// Listening tells whether a socket of the kernel listens where a connection's local end is, its own address or all. Where the kernel
// does not tell, one does.
func (kernel) Listening(ns int, local netip.AddrPort) bool {
	found := true
	_ = netns.Do(ns, func() error {
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
		req.AddData(diagRequest{local})
		_, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		found = err != unix.ENOENT
		return nil
	})
	return found
}

// diagRequest is struct inet_diag_req_v2 of linux/inet_diag.h for one socket. Without a remote end it is a listener.
type diagRequest struct{ local netip.AddrPort }

func (r diagRequest) Len() int { return 56 }

func (r diagRequest) Serialize() []byte {
	const listen = 10 // TCP_LISTEN of net/tcp_states.h
	b := make([]byte, r.Len())
	ip := r.local.Addr().Unmap()
	b[0], b[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if ip.Is4() {
		b[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(b[4:], 1<<listen)
	binary.BigEndian.PutUint16(b[8:], r.local.Port())
	copy(b[12:28], ip.AsSlice())
	for i := 48; i < 56; i++ { // INET_DIAG_NOCOOKIE
		b[i] = 0xff
	}
	return b
}

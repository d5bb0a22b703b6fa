package broker

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
	"github.com/sluice-net/sluice/afxdp/steer"
)

// Listening tells whether a socket of the kernel listens where a connection's local end is, its own address or all. Where the kernel
// does not tell, one does.
func (kernel) Listening(ns int, local netip.AddrPort) bool {
	found := true
	_ = netns.Do(ns, func() error {
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
		req.AddData(diagRequest{local: local})
		_, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		found = err != unix.ENOENT
		return nil
	})
	return found
}

// Has asks for each device by itself: a socket that is bound to one is found only by its index (inet_sk_bound_dev_eq).
func (kernel) Has(ns int, t steer.Tuple, devices []int) (has bool, err error) {
	err = netns.Do(ns, func() error {
		for _, dev := range append([]int{0}, devices...) {
			req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
			req.AddData(diagRequest{t.Local, t.Remote, dev})
			got, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
			if err != nil && err != unix.ENOENT {
				return fmt.Errorf("sock_diag: %w", err)
			}
			for _, b := range got { // struct inet_diag_msg: family, state. Where there is no such connection, a listener is found
				has = has || len(b) > 1 && b[1] != stateListen
			}
		}
		return nil
	})
	return has, err
}

const stateListen = 10 // TCP_LISTEN of net/tcp_states.h

// diagRequest is struct inet_diag_req_v2 of linux/inet_diag.h for one socket. Without a remote end it is a listener.
type diagRequest struct {
	local, remote netip.AddrPort
	device        int
}

func (r diagRequest) Len() int { return 56 }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	ip := r.local.Addr().Unmap()
	b[0], b[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if ip.Is4() {
		b[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(b[4:], 1<<stateListen)
	binary.BigEndian.PutUint16(b[8:], r.local.Port())
	copy(b[12:28], ip.AsSlice())
	if r.remote.IsValid() {
		binary.NativeEndian.PutUint32(b[4:], ^uint32(0))
		binary.BigEndian.PutUint16(b[10:], r.remote.Port())
		copy(b[28:44], r.remote.Addr().Unmap().AsSlice())
	}
	binary.NativeEndian.PutUint32(b[44:], uint32(r.device))
	for i := 48; i < 56; i++ { // INET_DIAG_NOCOOKIE
		b[i] = 0xff
	}
	return b
}

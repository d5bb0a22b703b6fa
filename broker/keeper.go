package broker

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
)

// keep puts sockets in flight, in one message that nobody receives: whoever has the keeper has them, at the price of one descriptor.
// It is sent from here since what is in flight counts against the sender's limit, and a program's should stay what it was. The message has no
// octet, which datagrams need not: in a program's table the keeper has a low number for a moment, and whoever looks there finds nothing to read.
func keep(socks []int) (keeper int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("keeper of ports: %w", err)
	}
	defer unix.Close(pair[0])
	if err := unix.Sendmsg(pair[0], nil, unix.UnixRights(socks...), nil, unix.MSG_NOSIGNAL); err != nil {
		unix.Close(pair[1])
		return -1, fmt.Errorf("keeper of ports: %w", err)
	}
	return pair[1], nil
}

// kept copies the sockets out of a keeper.
func kept(keeper int) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*proto.MaxFDs))
	n, oobn, flags, _, err := unix.Recvmsg(keeper, nil, oob, unix.MSG_PEEK|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, refuse("keep: %v", err)
	}
	var p proto.Packet
	if err := p.Control(oob[:oobn]); err != nil || n > 1 || flags&unix.MSG_CTRUNC != 0 || len(p.FDs) == 0 {
		p.CloseFDs()
		return nil, refuse("keep: no keeper")
	}
	return p.FDs, nil
}

package proto

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Keep puts sockets in flight, in one message: whoever has the keeper has them, at the price of one descriptor.
// What is in flight counts against the sender's limit, so the broker does it: a program's limit should stay what it was. The message has no
// octet, which datagrams need not: in a program's table the keeper has a low number for a moment, and whoever looks there finds nothing to read.
func Keep(socks []int) (keeper int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("keeper: %w", err)
	}
	defer unix.Close(pair[0])
	if err := unix.Sendmsg(pair[0], nil, unix.UnixRights(socks...), nil, unix.MSG_NOSIGNAL); err != nil {
		unix.Close(pair[1])
		return -1, fmt.Errorf("keeper: %w", err)
	}
	return pair[1], nil
}

var errNoKeeper = errors.New("no keeper, or an empty one")

// Kept copies the sockets out of a keeper.
func Kept(keeper int) ([]int, error) { return open(keeper, unix.MSG_PEEK, 0) }

// Take takes the sockets out of a keeper: of all who have it one gets them, once. Their numbers are from low on.
func Take(keeper, low int) ([]int, error) { return open(keeper, 0, low) }

func open(keeper, flags, low int) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*MaxFDs))
	n, oobn, got, _, err := unix.Recvmsg(keeper, nil, oob, flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoKeeper, err)
	}
	var p Packet
	if err := p.Control(oob[:oobn]); err != nil || n > 1 || got&unix.MSG_CTRUNC != 0 || len(p.FDs) == 0 {
		p.CloseFDs()
		return nil, errNoKeeper
	}
	for i, fd := range p.FDs {
		p.FDs[i] = Raise(fd, low)
	}
	return p.FDs, nil
}

// Empty tells whether somebody has taken what a keeper had.
func Empty(keeper int) bool {
	p := []unix.PollFd{{Fd: int32(keeper), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	for err == unix.EINTR { // it looks for signals even if it does not wait
		n, err = unix.Poll(p, 0)
	}
	return err != nil || n == 0 || p[0].Revents&unix.POLLIN == 0
}

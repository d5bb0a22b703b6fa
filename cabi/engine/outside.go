package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// What the packetdrill plug-in (folder drill) has in common with the engine: the same settings, errors and addresses.

// ReadParams reads the host's settings from the process's own network namespace.
func ReadParams() *tcp.Params { return readParams() }

// Errno is the errno that a program sees for an error of the stack.
func Errno(err error) unix.Errno { return errno(err) }

// PutSockaddr writes an address as a socket of AF_INET6 (six) or AF_INET tells it, and returns its length.
func PutSockaddr(b *Sockaddr, a netip.AddrPort, six bool) int { return putSockaddr(b, a, six) }

// ParseSockaddr reads an address of either family, and says whether it was AF_INET6.
func ParseSockaddr(b []byte) (a netip.AddrPort, six bool, err error) { return parseSockaddr(b) }

// Package steer decides which packets of a device go to user space: it loads the XDP program of
// steer.c, attaches it, keeps it alive by pins, and edits the maps it reads.
//
// Per packet, the first rule that matches wins:
//
//  1. not TCP, a fragment, with two VLAN tags, with IPv6 extension headers, or unparsable: kernel;
//  2. neither a listener entry for the tag, the local address and port, nor a connect entry: kernel. A tag is one of IEEE 802.1Q, or none;
//  3. the kernel has a socket for the connection that is not a listener: kernel, unless its entry
//     says that it has just been taken from the kernel;
//  4. a pure SYN to a listener's entry on which the kernel does not listen (any more), or to a bound port's on which it does: kernel. The
//     entry's owner closed the socket he got it for, and the port may be somebody else's;
//  5. a pure SYN of the kernel's share: more processes listen there than there are queues, and the kernel serves those without one;
//  6. a pure SYN on a queue that is quiet: kernel, unless it repeats one of the last 4 s that went to a socket that is still there;
//  7. else the AF_XDP socket of the queue it came in by; if there is none, the kernel, but nobody
//     while the queue is quiet: it changes hands, and the kernel would reset connections that move.
//
// ICMP errors go by the packet they quote, read from the other side: they follow its connection.
//
// Rule 3 makes the kernel's own socket table the truth about which connections are the kernel's,
// so a connection that is handed over changes sides at the instant its kernel socket appears.
//
// Limits:
//   - A VLAN tag is seen in the packet only. Where the device takes tags off before XDP (receive
//     VLAN offload, or a veth peer with transmit VLAN offload), the packet counts as untagged.
//   - Connections of the kernel that are bound to a VLAN device (SO_BINDTODEVICE) are not found by
//     rule 3, which asks for the device below; packets for link-local addresses are left to it.
//   - Packets of a device without forwarding are not checked for a local destination address.
//   - ICMP errors come by the queue the device chose for them, which need not be the
//     connection's; only a socket of that very queue can get them.
package steer

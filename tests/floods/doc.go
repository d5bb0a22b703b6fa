// Package floods measures what real clients of nginx get while their server's port is attacked, by the kernel and accelerated in turn, in one run: SYN, ACK,
// RST and FIN floods with forged sources, fragments, a port scan, tiny segments, slowloris, peers that close their window. prog/flood.c sends
// what needs forging; the rest are connections of the client's kernel. `make floods` prints the table; nothing of it is a timed assertion, only
// that clients are served again afterwards, get no wrong byte, and that memory stays bounded.
package floods

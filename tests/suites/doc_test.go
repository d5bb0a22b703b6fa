// Package suites runs test suites that others wrote for their sockets (CPython's, redis', Tcl's, Perl's, libuv's) three times: on
// the kernel path, under the preload object with nothing selected, and accelerated. What fails and what is skipped must be the same
// each time. `make suites` installs the suites and runs them.
//
// Such a suite has both ends of its connections on one host, whose traffic never passes a device. Here it does: see mirror.
package suites

// Package apps runs real programs, server and client, on the kernel path, with
// one end accelerated, and with both: what they print, how they end and what
// data arrives must be the same each time. `make apps` installs and runs them.
package apps

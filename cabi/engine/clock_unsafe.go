package engine

import _ "unsafe" // for go:linkname

// nanotime is CLOCK_MONOTONIC in nanoseconds, read without a system call; the time package does not give the raw value.
//
//go:linkname nanotime runtime.nanotime
func nanotime() int64

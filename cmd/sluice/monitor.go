package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// monitorSlack is by how much the timers of the broker's threads may be late, ns. The Go runtime's monitor wakes each 20 us while anything runs, and takes the
// processor from who serves a move, or from the program that waits for it. Nothing here is timed finer than milliseconds.
const monitorSlack = 1000000

// calm: this program began with that slack. The monitor is the first thread that the runtime begins, and inherits it, as most of the others do.
var calm bool

// The thread that began is on time again from here on, and those that it begins. Only the broker's: `sluice run` leaves the command what it got.
func init() {
	if len(os.Args) < 2 || os.Args[1] != "broker" {
		return
	}
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && slack == monitorSlack {
		calm = true
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	}
}

// calmDown is for a thread that is about to execute this program anew, and tells whether that helps.
func calmDown() bool {
	if calm || unix.Prctl(unix.PR_SET_TIMERSLACK, monitorSlack, 0, 0, 0) != nil {
		return false
	}
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err == nil && slack == monitorSlack
}

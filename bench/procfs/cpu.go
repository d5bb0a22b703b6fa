// Package procfs reads from /proc and /sys what a benchmark has to know: whose CPU time it was, who opened the connections,
// and what the machine is.
package procfs

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is USER_HZ, the unit of /proc/stat and /proc/PID/stat on every architecture Go knows.
const tick = time.Second / 100

// CPU is the time of all processors together, as /proc/stat has it. The kernel counts by ticks of 10 ms, so a figure over
// less than a second says little.
type CPU struct {
	User, System time.Duration // of processes
	IRQ          time.Duration // interrupts and softirqs, whoever's process was interrupted
	Steal        time.Duration // wanted, but the hypervisor ran somebody else
	Idle         time.Duration // with waiting for disks
}

// Machine reads the machine's CPU time since boot.
func MachineCPU() (CPU, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return CPU{}, err
	}
	return parseCPU(string(text))
}

func parseCPU(text string) (CPU, error) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal …: proc(5)
	if len(f) < 9 || f[0] != "cpu" {
		return CPU{}, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var t [9]time.Duration
	for i := 1; i < len(t); i++ {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return CPU{}, fmt.Errorf("/proc/stat begins with %q", line)
		}
		t[i] = time.Duration(n) * tick
	}
	return CPU{User: t[1] + t[2], System: t[3], Idle: t[4] + t[5], IRQ: t[6] + t[7], Steal: t[8]}, nil
}

// Sub is what passed since before.
func (c CPU) Sub(before CPU) CPU {
	return CPU{
		User: c.User - before.User, System: c.System - before.System, IRQ: c.IRQ - before.IRQ,
		Steal: c.Steal - before.Steal, Idle: c.Idle - before.Idle,
	}
}

// Busy is all but idle and stolen time.
func (c CPU) Busy() time.Duration { return c.User + c.System + c.IRQ }

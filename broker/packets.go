package broker

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL: it returns after a grace period of RCU, within which packets are received, XDP and all.
const membarrierGlobal = 1

// afterPackets closes a channel when every packet that met an XDP program by now has come to its end. One goroutine serves all who ask meanwhile.
// Needs the lock.
func (b *Broker) afterPackets(done chan struct{}) {
	b.draining = append(b.draining, done)
	if len(b.draining) == 1 {
		b.goDo(b.drainAll)
	}
}

func (b *Broker) drainAll() {
	for n := 0; ; {
		b.mu.Lock()
		for _, c := range b.draining[:n] {
			close(c)
		}
		b.draining = append(b.draining[:0], b.draining[n:]...)
		n = len(b.draining)
		b.mu.Unlock()
		if n == 0 {
			return
		}
		if onEveryProcessor() {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
			time.Sleep(takenLife)
		}
	}
}

// maxHops is on how many processors a thread looks in; a machine with more has a grace period of RCU sooner.
const maxHops = 256

// onEveryProcessor runs on each processor for a moment: what a softirq had begun there is done, as none lets a thread run in its middle, but on a
// kernel with PREEMPT_RT. A visit of an idle machine takes 0.1 ms, where a grace period of RCU takes 12. False: not every processor was visited.
func onEveryProcessor() bool {
	if _, err := os.Stat("/sys/kernel/realtime"); err == nil {
		return false
	}
	cpus, ok := online()
	if !ok || cpus.Count() > maxHops {
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if unix.SchedGetaffinity(0, &before) != nil {
		return false
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	for left, cpu := cpus.Count(), 0; left > 0; cpu++ {
		if !cpus.IsSet(cpu) {
			continue
		}
		left--
		var one unix.CPUSet
		one.Set(cpu)
		if unix.SchedSetaffinity(0, &one) != nil { // not one of the broker's
			return false
		}
	}
	return true
}

// online are the processors that run. The list is like 0-3,8.
func online() (set unix.CPUSet, ok bool) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	for _, part := range strings.Split(strings.TrimSpace(string(text)), ",") {
		first, last, some := strings.Cut(part, "-")
		if !some {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err1 != nil || err2 != nil || from > to {
			return set, false
		}
		for ; from <= to; from++ {
			if set.Set(from); !set.IsSet(from) { // more than a set holds
				return set, false
			}
		}
	}
	return set, true
}

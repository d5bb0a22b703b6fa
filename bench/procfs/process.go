package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what processes used so far. Softirqs that ran on their back are not in it: the kernel counts those apart.
type Usage struct {
	User, System time.Duration
	Voluntary    uint64 // context switches: the process slept
	Involuntary  uint64 // it was made to wait for somebody else
	Anon         int64  // bytes resident of its own memory: no files, nothing shared
}

// Add sums two usages.
func (u Usage) Add(o Usage) Usage {
	return Usage{u.User + o.User, u.System + o.System, u.Voluntary + o.Voluntary, u.Involuntary + o.Involuntary, u.Anon + o.Anon}
}

// Sub is what was used since before; Anon is then what it grew by.
func (u Usage) Sub(before Usage) Usage {
	return Usage{u.User - before.User, u.System - before.System, u.Voluntary - before.Voluntary, u.Involuntary - before.Involuntary, u.Anon - before.Anon}
}

// CPU is user and system time.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// TreeUsage sums a process and everything it started that is still there.
func TreeUsage(pid int) (sum Usage) {
	for _, p := range Tree(pid) {
		if u, err := usage(p); err == nil { // else it ended meanwhile
			sum = sum.Add(u)
		}
	}
	return sum
}

// Tree lists a process and its descendants.
func Tree(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, l := range lists {
		text, _ := os.ReadFile(l)
		for _, f := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, Tree(child)...)
			}
		}
	}
	return all
}

func usage(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	u, err := parseStat(string(text))
	if err != nil {
		return Usage{}, err
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	u.Anon = int64(numberIn(string(status), "RssAnon")) << 10
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range tasks {
		status, _ := os.ReadFile(t)
		u.Voluntary += numberIn(string(status), "voluntary_ctxt_switches")
		u.Involuntary += numberIn(string(status), "nonvoluntary_ctxt_switches")
	}
	return u, nil
}

// parseStat reads /proc/PID/stat: pid (name) state …, where the name may hold anything.
func parseStat(text string) (Usage, error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 13 {
		return Usage{}, fmt.Errorf("not a process's stat: %q", text)
	}
	var n [2]int64
	for i, at := range []int{11, 12} { // utime and stime: fields 14 and 15 of proc(5)
		var err error
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("not a process's stat: %q", text)
		}
	}
	return Usage{User: time.Duration(n[0]) * tick, System: time.Duration(n[1]) * tick}, nil
}

// numberIn is the first number of a line "name: number …", 0 if there is none.
func numberIn(text, name string) uint64 {
	first, _, _ := strings.Cut(field(text, name), " ")
	n, _ := strconv.ParseUint(first, 10, 64)
	return n
}

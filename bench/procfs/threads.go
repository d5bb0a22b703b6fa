package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Named lists the processes and kernel threads whose name begins so: proc(5), /proc/PID/comm.
func Named(prefix string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range all {
		if name, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(name), prefix) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// RunTime is how long the threads of some processes have had a processor, to the nanosecond: /proc/PID/task/TID/schedstat.
func RunTime(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if len(tasks) == 0 {
			return 0, fmt.Errorf("process %d has no /proc/PID/task/*/schedstat", pid)
		}
		for _, path := range tasks {
			first, _, _ := strings.Cut(read(path), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", path, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

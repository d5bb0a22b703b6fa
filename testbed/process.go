package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processes lists the processes in a network namespace, this one left out.
func processes(inode uint64) []int {
	want := fmt.Sprintf("net:[%d]", inode)
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	var pids []int
	for _, l := range links {
		pid, err := strconv.Atoi(strings.Split(l, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if got, err := os.Readlink(l); err == nil && got == want {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endProcesses ends every process in the namespace: kindly, then not.
func endProcesses(inode uint64) error {
	const patience = 2 * time.Second
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		for _, pid := range processes(inode) {
			_ = unix.Kill(pid, sig)
		}
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if allDead(processes(inode)) {
				return nil
			}
			if time.Now().After(end) {
				break
			}
		}
	}
	return errors.New("processes do not end: " + fmt.Sprint(processes(inode)))
}

// allDead says that what is left are zombies, which only wait for their parents.
func allDead(pids []int) bool {
	for _, pid := range pids {
		if !zombie(pid) {
			return false
		}
	}
	return true
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	// pid (name) state ...: the name may hold anything, so look behind its last bracket.
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func command(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
}

package sockets

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// cgroups are the paths below the mount of cgroup v2, by the number that the kernel tells of a socket's: its inode's (cgroups(7)).
var cgroups = sync.OnceValue(func() map[uint64]string {
	paths := map[uint64]string{}
	mount := cgroupMount()
	if mount == "" {
		return paths
	}
	_ = filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				paths[st.Ino] = "/" + strings.TrimPrefix(strings.TrimPrefix(path, mount), "/")
			}
		}
		return nil
	})
	return paths
})

// cgroupMount is where cgroup v2 is mounted first.
func cgroupMount() string {
	text, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	return ""
}

// cgroupPath says it as ss does.
func cgroupPath(id uint64) string {
	if path, ok := cgroups()[id]; ok {
		return path
	}
	return fmt.Sprintf("unreachable:%x", id)
}

// cgroupOf is a process's cgroup of version 2, "" if there is none.
func cgroupOf(pid int) string {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	for _, line := range strings.Split(string(text), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok && cgroupMount() != "" {
			return path
		}
	}
	return ""
}

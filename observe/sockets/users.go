package sockets

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// FindUsers fills in which descriptors of which processes name each of the kernel's sockets, as far as this user may see.
func FindUsers(all []Socket) {
	byInode := map[string][]int{}
	for i := range all {
		if s := &all[i]; s.Inode != 0 && (s.Accel == nil || s.State == Listen) {
			s.Users = nil
			name := "socket:[" + strconv.FormatUint(s.Inode, 10) + "]"
			byInode[name] = append(byInode[name], i)
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(strings.Split(dir, "/")[2])
		entries, _ := os.ReadDir(dir)
		program := ""
		for _, e := range entries {
			name, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil {
				continue
			}
			for _, i := range byInode[name] {
				if program == "" {
					program = Comm(pid)
				}
				fd, _ := strconv.Atoi(e.Name())
				all[i].Users = append(all[i].Users, User{program, pid, fd})
			}
		}
	}
	for i := range all {
		u := all[i].Users
		sort.SliceStable(u, func(a, b int) bool { return u[a].Pid > u[b].Pid || u[a].Pid == u[b].Pid && u[a].FD < u[b].FD })
	}
}

// Comm is a process's name.
func Comm(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}

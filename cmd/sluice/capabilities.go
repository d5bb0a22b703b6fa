package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that the broker works with.
var needed = map[uintptr]string{
	unix.CAP_NET_ADMIN:        "XDP, AF_XDP, TCP_REPAIR, ethtool",
	unix.CAP_NET_RAW:          "AF_XDP and packet sockets",
	unix.CAP_NET_BIND_SERVICE: "connections of ports below 1024 that go to the kernel",
	unix.CAP_CHOWN:            "sockets of connections that go to the kernel are their program's user's",
	unix.CAP_BPF:              "programs and maps",
	unix.CAP_PERFMON:          "programs that read the kernel's sockets",
	unix.CAP_SYS_ADMIN:        "network namespaces of programs and of spurs, the mount of a bpffs",
	unix.CAP_SYS_PTRACE:       "/proc/PID/ns/net of other users' programs",
	unix.CAP_SYS_RESOURCE:     "memory of rings beyond the limit, before cgroups counted it",
	unix.CAP_IPC_LOCK:         "the same, on devices that pin it",
}

// beginAnew gives up for good what the broker does not need, and executes it again if that, or its calm, takes effect then only. The process, its descriptors and
// arguments stay.
func beginAnew() error {
	runtime.LockOSThread() // bounding set and slack are a thread's; execve keeps this one's
	defer runtime.UnlockOSThread()
	dropped, err := dropCapabilities()
	if err != nil {
		return err
	}
	if !calmDown() && !dropped {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, os.Environ())
}

// dropCapabilities takes what is not needed out of the thread's bounding set, since root gets at execve what that allows, and tells whether there was any. Where
// that is not allowed the broker keeps what it has.
func dropCapabilities() (dropped bool, err error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	for c := uintptr(0); c < 64; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil { // beyond the last that the kernel knows
			break
		}
		if has == 0 || needed[c] != "" {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return dropped, fmt.Errorf("keeps capabilities it does not need: %w", err)
		}
		dropped = true
	}
	return dropped, nil
}

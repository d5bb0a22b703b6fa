// Package netns runs a function in another network namespace, and finds namespaces.
package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Current, as a namespace descriptor, means the one the calling thread is in.
const Current = -1

// Do runs fn in the network namespace fd, on a thread that nothing else uses meanwhile. Goroutines
// that fn starts are not in the namespace; processes and sockets that it makes are.
func Do(fd int, fn func() error) error {
	if fd == Current {
		return fn()
	}
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0) // os.Open would ask epoll, too
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer unix.Close(home)
	return between(home, fd, fn)
}

// home is the namespace of the process's first thread.
var home = sync.OnceValues(func() (int, error) {
	return unix.Open("/proc/self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
})

// Visit is Do for who is not in such a function already: the thread goes back to the namespace of the process, which is opened only once.
func Visit(fd int, fn func() error) error {
	if fd == Current {
		return fn()
	}
	back, err := home()
	if err != nil {
		return fmt.Errorf("open own network namespace: %w", err)
	}
	runtime.LockOSThread()
	return between(back, fd, fn)
}

// between enters a namespace and goes back; the thread is locked once, and is not any more after it.
func between(home, fd int, fn func() error) error {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer func() {
		// A thread that cannot return stays locked, and ends with its goroutine.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return fn()
}

// Inode is the number by which the namespace fd is known; Current stands for the caller's.
func Inode(fd int) (uint64, error) {
	var st unix.Stat_t
	var err error
	if fd == Current {
		err = unix.Stat("/proc/thread-self/ns/net", &st)
	} else {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		return 0, fmt.Errorf("stat network namespace: %w", err)
	}
	return st.Ino, nil
}

// Find opens the namespace of that inode, if a process is in it or ip-netns(8) has a name for it.
// The caller closes the descriptor, and better soon: it keeps the namespace alive.
func Find(inode uint64) (*os.File, error) {
	for _, pattern := range []string{"/proc/self/ns/net", "/run/netns/*", "/proc/[0-9]*/ns/net"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			var st unix.Stat_t
			if unix.Stat(path, &st) != nil || st.Ino != inode {
				continue
			}
			if f, err := os.Open(path); err == nil {
				return f, nil
			}
		}
	}
	return nil, fmt.Errorf("find network namespace %d: %w", inode, os.ErrNotExist)
}

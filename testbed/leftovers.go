package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
)

// made keeps every namespace this process made, by its name, so that what is left of it can be told when the name is gone. It is
// kept open until it was found clean: the kernel gives the inode of one that is gone to the next.
var made sync.Map

type held struct {
	fd    int
	inode uint64
}

func hold(n *Node) error {
	fd, err := unix.FcntlInt(uintptr(n.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("hold namespace %s: %w", n.Name, err)
	}
	made.Store(n.Name, held{fd: fd, inode: n.inode})
	return nil
}

func letGo(names []string) {
	for _, name := range names {
		if h, ok := made.LoadAndDelete(name); ok {
			_ = unix.Close(h.(held).fd)
		}
	}
}

// Leftovers lists what is left of the named namespaces: names, processes, XDP programs, pins and
// mounts. Without names it looks for those of every namespace of this package on the machine, and
// for every program of sluice.
func Leftovers(names ...string) ([]string, error) {
	all := len(names) == 0
	if all {
		paths, _ := filepath.Glob(filepath.Join(nsDir, Prefix+"*"))
		for _, p := range paths {
			names = append(names, filepath.Base(p))
		}
	}
	var found []string
	var inodes []uint64
	for _, name := range names {
		n := &Node{Name: name}
		if _, err := os.Stat(n.Path()); err == nil {
			found = append(found, "namespace "+name)
		}
		inode := inodeOf(n)
		if inode == 0 {
			continue
		}
		inodes = append(inodes, inode)
		for _, pid := range processes(inode) {
			if !zombie(pid) {
				found = append(found, fmt.Sprintf("process %d in %s: %s", pid, name, command(pid)))
			}
		}
	}
	programs, err := leftPrograms(all, inodes)
	if err != nil {
		return nil, err
	}
	mounts, err := leftMounts(names, inodes)
	return append(append(found, programs...), mounts...), err
}

func inodeOf(n *Node) uint64 {
	if h, ok := made.Load(n.Name); ok {
		return h.(held).inode
	}
	return mountedInode(n.Path())
}

func leftPrograms(all bool, inodes []uint64) (found []string, err error) {
	pins, err := steer.Loaded()
	for _, p := range pins {
		if all || slices.Contains(inodes, p.NetNS) {
			found = append(found, "XDP program "+p.String())
		}
	}
	return found, err
}

// leftMounts looks through the mount table for places named after a namespace, and through every
// bpffs for pins of one.
func leftMounts(names []string, inodes []uint64) (found []string, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// id parent major:minor root place options ... - type source options: proc(5)
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 5 || dash+1 >= len(fields) {
			continue
		}
		place := fields[4]
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(place, n) || strings.Contains(place, n+"/") }) {
			found = append(found, "mount "+place)
		}
		if fields[dash+1] == "bpf" {
			found = append(found, leftPins(place, inodes)...)
		}
	}
	return found, nil
}

func leftPins(place string, inodes []uint64) (found []string) {
	_ = filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or not ours to see
		}
		for _, inode := range inodes {
			if d.IsDir() && strings.HasPrefix(d.Name(), fmt.Sprintf("%d-", inode)) {
				found = append(found, "pin "+path)
			}
		}
		return nil
	})
	return found
}

// WaitClean waits until Leftovers finds nothing, at most that long. It is the last question about beds that were closed.
func WaitClean(limit time.Duration, names ...string) error {
	defer letGo(names)
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		found, err := Leftovers(names...)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("left over: " + strings.Join(found, "; "))
		}
	}
}

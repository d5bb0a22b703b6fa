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
	older []string // programs and pins that another namespace of that inode has left, or leaves just now
}

func hold(n *Node) error {
	fd, err := unix.FcntlInt(uintptr(n.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("hold namespace %s: %w", n.Name, err)
	}
	older, err := traces([]uint64{n.inode})
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("what was before namespace %s: %w", n.Name, err)
	}
	made.Store(n.Name, held{fd: fd, inode: n.inode, older: older})
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
// mounts. Without names it looks for those of all that this process made and has not found clean. What others have on the machine, in namespaces of
// theirs or of an inode that was theirs, is not looked at.
func Leftovers(names ...string) ([]string, error) {
	if len(names) == 0 {
		made.Range(func(name, _ any) bool {
			names = append(names, name.(string))
			return true
		})
	}
	var found, older []string
	var inodes []uint64
	for _, name := range names {
		n := &Node{Name: name}
		if _, err := os.Stat(n.Path()); err == nil {
			found = append(found, "namespace "+name)
		}
		h := heldOf(n)
		inode := h.inode
		if inode == 0 {
			continue
		}
		older = append(older, h.older...)
		inodes = append(inodes, inode)
		for _, pid := range processes(inode) {
			if !zombie(pid) {
				found = append(found, fmt.Sprintf("process %d in %s: %s", pid, name, command(pid)))
			}
		}
	}
	left, err := traces(inodes)
	if err != nil {
		return nil, err
	}
	for _, t := range left {
		if !slices.Contains(older, t) {
			found = append(found, t)
		}
	}
	err = eachMount(func(place, _ string) {
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(place, n) || strings.Contains(place, n+"/") }) {
			found = append(found, "mount "+place)
		}
	})
	return found, err
}

func heldOf(n *Node) held {
	if h, ok := made.Load(n.Name); ok {
		return h.(held)
	}
	return held{inode: mountedInode(n.Path())}
}

// traces are the programs of sluice in the kernel, and the pins in whatever bpffs, of namespaces with these inodes.
func traces(inodes []uint64) (found []string, err error) {
	loaded, err := steer.Loaded()
	if err != nil {
		return nil, err
	}
	for id, p := range loaded {
		if slices.Contains(inodes, p.NetNS) {
			found = append(found, fmt.Sprintf("XDP program %d of %v", id, p))
		}
	}
	err = eachMount(func(place, kind string) {
		if kind == "bpf" {
			found = append(found, leftPins(place, inodes)...)
		}
	})
	return found, err
}

// eachMount goes through the mount table: places, and the kinds of file systems there.
func eachMount(f func(place, kind string)) error {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// id parent major:minor root place options ... - type source options: proc(5)
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if dash < 5 || dash+1 >= len(fields) {
			continue
		}
		f(fields[4], fields[dash+1])
	}
	return nil
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

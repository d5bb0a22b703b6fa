package steer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// Pin names a pinned program: which device of which network namespace it is on.
type Pin struct {
	NetNS   uint64 // inode of the namespace
	Ifindex int
}

// String is the name of the pin's directory.
func (p Pin) String() string { return fmt.Sprintf("%d-%d", p.NetNS, p.Ifindex) }

func pinOf(ns, ifindex int) (Pin, error) {
	inode, err := netns.Inode(ns)
	return Pin{NetNS: inode, Ifindex: ifindex}, err
}

// Pins lists what is pinned under pinDir, living or not. No directory means no pins.
func Pins(pinDir string) ([]Pin, error) {
	dir, err := os.ReadDir(pinDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	var pins []Pin
	for _, e := range dir {
		var p Pin
		if n, _ := fmt.Sscanf(e.Name(), "%d-%d", &p.NetNS, &p.Ifindex); n == 2 && p.String() == e.Name() {
			pins = append(pins, p)
		}
	}
	return pins, nil
}

// RemovePin removes the pins of one program. Without a process that has it open, the program
// goes too.
func RemovePin(pinDir string, pin Pin) error {
	if err := os.RemoveAll(filepath.Join(pinDir, pin.String())); err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	return nil
}

// clearStale makes room for new pins, unless a living program has them.
func clearStale(pinDir string, pin Pin) error {
	l, err := livingLink(filepath.Join(pinDir, pin.String(), linkName))
	if err == nil {
		_ = l.Close()
		return ErrAttached
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return RemovePin(pinDir, pin)
}

// gone says that the device of a link was there no longer.
func gone(err error) bool { return errors.Is(err, unix.ENOLINK) || errors.Is(err, unix.ENODEV) }

// EnsureBPFFS makes dir a place to pin at: it creates the directory and mounts a bpffs there
// unless it lies on one. It says whether it mounted; UnmountBPFFS undoes that.
func EnsureBPFFS(dir string) (mounted bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make pin directory: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, fmt.Errorf("look at pin directory: %w", err)
	}
	if uint32(st.Type) == unix.BPF_FS_MAGIC && st.Flags&unix.ST_RDONLY == 0 {
		return false, nil
	}
	if err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return false, fmt.Errorf("mount bpffs at %s: %w", dir, err)
	}
	return true, nil
}

// UnmountBPFFS takes away the mount that EnsureBPFFS made, at once for new users.
func UnmountBPFFS(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount bpffs at %s: %w", dir, err)
	}
	return nil
}

package broker

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/steer"
	"github.com/sluice-net/sluice/broker/proto"
)

// pins is the directory where programs are pinned, so that they outlive the broker.
type pins struct {
	dir   string // "": nothing is pinned
	mount string // the bpffs that a broker mounted for it, if one did
}

// bpffs is where hosts have it.
const bpffs = "/sys/fs/bpf"

// defaultPinDir is below the host's bpffs if that is one and writable, else beside the socket. Brokers at different sockets have different
// ones: each takes what it finds in its own for what its predecessor left.
func defaultPinDir(socket string) string {
	var st unix.Statfs_t
	if unix.Statfs(bpffs, &st) != nil || uint32(st.Type) != unix.BPF_FS_MAGIC || st.Flags&unix.ST_RDONLY != 0 {
		return filepath.Join(filepath.Dir(socket), "bpf", "sluice")
	}
	if socket == proto.DefaultSocket {
		return filepath.Join(bpffs, "sluice")
	}
	h := fnv.New64a()
	h.Write([]byte(socket))
	return filepath.Join(bpffs, fmt.Sprintf("sluice-%x", h.Sum64()))
}

// openPins makes the directory. Programs live in a directory below the mount, so that a broker that comes after a crash can tell a bpffs of
// ours (it is mounted exactly on the parent) from the host's.
func openPins(dir string) (*pins, error) {
	p := &pins{dir: dir}
	parent := filepath.Dir(dir)
	if _, err := steer.EnsureBPFFS(parent); err != nil {
		return nil, err
	}
	if parent != bpffs {
		p.mount = parent
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	return p, nil
}

// close removes what is empty: the directory, the mount, the mount point.
func (p *pins) close() error {
	if p.dir == "" {
		return nil
	}
	err := os.Remove(p.dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil || p.mount == "" {
		return err
	}
	if isMount(p.mount) {
		err = steer.UnmountBPFFS(p.mount)
	}
	os.Remove(p.mount)
	return err
}

// isMount tells whether a file system is mounted exactly here.
func isMount(dir string) bool {
	var here, up unix.Stat_t
	return unix.Stat(dir, &here) == nil && unix.Stat(filepath.Dir(dir), &up) == nil && here.Dev != up.Dev
}

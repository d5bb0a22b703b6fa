package testbed

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/netns"
)

// Node is one namespace and its end of the veth pair.
type Node struct {
	Name       string // of the namespace, under /run/netns
	Device     string
	Ifindex    int
	MAC        [6]byte
	IPv4, IPv6 netip.Addr

	fd    int
	inode uint64
}

const nsDir = "/run/netns"

// FD is the namespace's descriptor, good until the bed is closed.
func (n *Node) FD() int { return n.fd }

// Inode is the number by which the namespace is known in /proc/*/ns/net.
func (n *Node) Inode() uint64 { return n.inode }

// Path is a file that names the namespace, for setns and nsenter --net=.
func (n *Node) Path() string { return filepath.Join(nsDir, n.Name) }

// Do runs fn in the namespace; see netns.Do.
func (n *Node) Do(fn func() error) error { return netns.Do(n.fd, fn) }

// Start starts cmd in the namespace. The mount namespace stays the caller's.
func (n *Node) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run runs a command in the namespace to its end and returns what it wrote to both outputs.
func (n *Node) Run(name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := n.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out.Bytes()))
	}
	return out.String(), err
}

// mountedInode is the inode of the namespace that path names, or 0.
func mountedInode(path string) uint64 {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	inode, _ := netns.Inode(fd)
	return inode
}

// create makes the namespace and gives it its name, as ip-netns(8) does.
func (n *Node) create() error {
	if err := prepareDir(nsDir); err != nil {
		return fmt.Errorf("make namespace: %w", err)
	}
	f, err := os.OpenFile(n.Path(), os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("make namespace: %w", err)
	}
	_ = f.Close()
	if err := bear(n.Path()); err != nil {
		return fmt.Errorf("make namespace %s: %w", n.Name, err)
	}
	if n.fd, err = unix.Open(n.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open namespace %s: %w", n.Name, err)
	}
	if n.inode, err = netns.Inode(n.fd); err == nil {
		err = hold(n)
	}
	return err
}

// bear makes a namespace on this thread, names it by path, and goes back.
func bear(path string) error {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(home)
	if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
		err = unix.Mount("/proc/thread-self/ns/net", path, "bind", unix.MS_BIND, "")
	}
	// A thread that cannot return stays locked, and ends with its goroutine.
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return err
}

// configure runs in the namespace: addresses, then up, then the node's own data.
func (n *Node) configure() error {
	// No duplicate address detection: the address is to be of use at once.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+n.Device+"/accept_dad", []byte("0"), 0o644)
	link, err := netlink.LinkByName(n.Device)
	if err != nil {
		return fmt.Errorf("find %s: %w", n.Device, err)
	}
	for _, a := range []struct {
		ip   netip.Addr
		bits int
	}{{n.IPv4, 24}, {n.IPv6, 64}} {
		if a.ip.Is6() && link.Attrs().MTU < 1280 {
			continue // "IPv6 requires that every link in the Internet have an MTU of 1280 octets or greater" RFC 8200 §5
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.ip.AsSlice(), Mask: net.CIDRMask(a.bits, a.ip.BitLen())}, Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", a.ip, err)
		}
	}
	for _, name := range []string{"lo", n.Device} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	n.Ifindex = link.Attrs().Index
	copy(n.MAC[:], link.Attrs().HardwareAddr)
	return nil
}

// remove ends the node's processes and takes the name away; without both the kernel drops the
// namespace and its device.
func (n *Node) remove() error {
	var errs []error
	if n.fd >= 0 { // else the number may be another namespace's by now
		errs = append(errs, endProcesses(n.inode), n.Do(n.deleteDevice), unix.Close(n.fd))
		n.fd = -1
	}
	for _, err := range []error{unix.Unmount(n.Path(), unix.MNT_DETACH), os.Remove(n.Path())} {
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove namespace %s: %w", n.Name, err))
		}
	}
	return errors.Join(errs...)
}

// endConnections ends the processes, and the connections they left to the kernel: those repeat their FIN for a minute and
// a half once the device is going, and an IPv6 one that was handed over keeps the device that long.
func (n *Node) endConnections() error {
	if n.fd < 0 {
		return nil
	}
	if err := endProcesses(n.inode); err != nil {
		return err
	}
	_, _ = n.Run("ss", "-K", "dport", "gt", "0") // a kernel that cannot (INET_DIAG_DESTROY) takes longer
	return nil
}

// deleteDevice removes the pair now: a namespace is only taken down some time after its last user.
func (n *Node) deleteDevice() error {
	link, err := netlink.LinkByName(n.Device)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", n.Device, err)
	}
	return nil
}

package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/observe/ask"
)

// Host looks at the machine: what only root can try is left out for others. libs is where this command's file is.
func Host(r *Report, b *ask.Broker, dialled error, libs string) {
	var u unix.Utsname
	_ = unix.Uname(&u)
	r.add(Good, "kernel", "", "Linux %s %s", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	if os.Geteuid() == 0 {
		kernelFeatures(r)
	} else {
		r.add(Note, "kernel features", "run as root to try them", "not tried")
	}
	limits(r)
	freeing(r)
	objects(r, libs)
	if dialled != nil {
		r.add(Bad, "broker", "start one as root (sluice broker), or as root use sluice run, which starts one for the program", "%v", dialled)
	} else if st, err := b.Status(); r.try("broker", err, Bad, "answers", "look at its log") && len(st.Leases) > 0 {
		r.add(Good, "broker", "", "serves %d programs", len(st.Leases))
	}
	devices(r, b)
}

// kernelFeatures tries what the broker needs.
func kernelFeatures(r *Report) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	r.try("AF_XDP", err, Bad, "sockets can be made", "a kernel with CONFIG_XDP_SOCKETS is needed")
	if err == nil {
		speed(r)
	}
	r.try("BPF", features.HaveProgramHelper(ebpf.XDP, asm.FnSkcLookupTcp), Bad, "XDP programs can ask the kernel's socket table",
		"Linux 5.9 or later is needed, and CAP_BPF with CAP_NET_ADMIN")
	r.try("TCP_REPAIR", repair(), Bad, "connections can be handed to the kernel and back", "CAP_NET_ADMIN is needed, and CONFIG_CHECKPOINT_RESTORE")
	var fs unix.Statfs_t
	err = unix.Statfs("/sys/fs/bpf", &fs)
	if err == nil && fs.Type != unix.BPF_FS_MAGIC {
		err = errors.New("no bpffs at /sys/fs/bpf")
	}
	r.try("bpffs", err, Note, "at /sys/fs/bpf: programs outlive a broker that is restarted", "the broker mounts one itself where it may")
}

// speed tries what queues are faster with.
func speed(r *Report) {
	for _, o := range afxdp.ProbeOptions() {
		do := ""
		switch o.Name {
		case "umem of huge pages":
			do = "sysctl vm.nr_hugepages=32 for each program, and sluice broker --huge-pages"
		case afxdp.MapBound:
			do = "before Linux 6.4 bpf must be in /sys/kernel/security/lsm (docs/security.md), or programs stay with the kernel"
		}
		r.try("AF_XDP, "+o.Name, o.Err, Note, "works here", do)
	}
}

func repair() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
}

func limits(r *Report) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err == nil {
		v, do := Good, ""
		if l.Cur < 4096 {
			v, do = Note, "ulimit -n: each connection needs one descriptor, and sluice's own lie high"
		}
		r.add(v, "open files", do, "at most %d", l.Cur)
	}
	if err := unix.Getrlimit(unix.RLIMIT_AS, &l); err == nil && l.Cur != unix.RLIM_INFINITY {
		r.add(Note, "address space", "ulimit -v unlimited: the engine's runtime reserves address space", "limited to %d bytes: programs stay with the kernel", l.Cur)
	}
	mem, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(mem), "\n") {
		if rest, ok := strings.CutPrefix(line, "HugePages_Total:"); ok {
			r.add(Good, "hugepages", "", "%s set aside; sluice broker --huge-pages uses them", strings.TrimSpace(rest))
		}
	}
}

// freeing looks at a setting that costs a virtual machine's round trips their tail: packets are freed by an interrupt to the processor
// that made them (docs/performance.md).
func freeing(r *Report) {
	const name = "/proc/sys/net/core/skb_defer_max"
	if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) != "0" {
		r.add(Note, "net.core.skb_defer_max", "sysctl net.core.skb_defer_max=0, if the longest round trips matter most: it is the whole host's",
			"%s packets a processor are freed by another one, by an interrupt", strings.TrimSpace(string(b)))
	}
}

// objects looks for the shared objects where sluice run does.
func objects(r *Report, libs string) {
	for _, name := range []string{"libsluice.so", "libsluice_engine.so"} {
		_, err := os.Stat(filepath.Join(libs, name))
		if err != nil {
			_, err = os.Stat(filepath.Join(libs, "../lib/sluice", name))
		}
		if err != nil {
			err = fmt.Errorf("neither in %s nor in ../lib/sluice beside it", libs)
		}
		r.try(name, err, Bad, "is there", "install it beside this command, or run make")
	}
}

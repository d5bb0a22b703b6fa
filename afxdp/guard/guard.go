// Package guard keeps a socket of AF_XDP from being bound by anybody but the process that made it. bind(2) of such a socket asks for no
// privilege: who holds one that is unbound may take any queue of its namespace's devices, read what arrives there where the driver has
// zero-copy, send by it, and keep others from it. Where an unprivileged program has to have sockets before they are bound (see
// afxdp.PrepareQueue), the guard lets it map them and no more.
//
// It is a program of the kernel's BPF security module (CONFIG_BPF_LSM, and "bpf" in the list of modules: Debian's kernels have both) at the hook
// socket_bind. It knows guarded sockets by their mark (SO_MARK), which only CAP_NET_ADMIN or CAP_NET_RAW may set, and their maker by the
// process number in that mark. It has no state, so one serves all brokers; it is pinned and stays until the machine restarts, since sockets
// may outlive the broker that handed them out.
package guard

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Pin is where the guard is pinned.
const Pin = "/sys/fs/bpf/sluice-guard"

// A mark is 0x5c in its highest octet and 24 bits of the maker's process number, of which Linux uses 22.
const (
	tag     = 0x5c
	pidBits = 24
	pidMask = 1<<pidBits - 1
)

// Mark makes the socket one that only this process may bind. It needs CAP_NET_ADMIN or CAP_NET_RAW.
func Mark(fd int) error { return mark(fd, os.Getpid()) }

func mark(fd, pid int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, tag<<pidBits|pid&pidMask); err != nil {
		return fmt.Errorf("mark a socket: %w", err)
	}
	return nil
}

// Attach sets the guard, unless it is there, and tries whether it keeps a socket from being bound.
func Attach() error {
	l, err := link.LoadPinnedLink(Pin, nil)
	if err != nil {
		l, err = attach()
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if err := try(); err != nil {
		return errors.Join(err, l.Unpin())
	}
	return nil
}

func attach() (link.Link, error) {
	spec, err := program()
	if err != nil {
		return nil, err
	}
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("load the guard: %w", err)
	}
	defer p.Close()
	l, err := link.AttachLSM(link.LSMOptions{Program: p})
	if err != nil {
		return nil, fmt.Errorf("attach the guard: %w", err)
	}
	if err := l.Pin(Pin); err != nil {
		return nil, errors.Join(fmt.Errorf("pin the guard: %w", err), l.Close())
	}
	return l, nil
}

// errUnheard is when the program is attached and the kernel does not ask it: "bpf" is not in its list of security modules.
var errUnheard = errors.New("the kernel's BPF security module is not on (lsm=...,bpf)")

// errNumber is when the kernel knows this process by another number than it knows itself.
var errNumber = errors.New("a process in a PID namespace of its own cannot be told from others")

// try binds a socket that has nothing to be bound with: under the mark of a process that there is not, and under our own. The guard answers
// first.
func try() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make XDP socket: %w", err)
	}
	defer unix.Close(fd)
	refused := func(pid int) bool {
		err = mark(fd, pid)
		return errors.Is(unix.Bind(fd, &unix.SockaddrXDP{Ifindex: 1}), unix.EPERM)
	}
	switch {
	case !refused(pidMask):
		return errors.Join(errUnheard, err)
	case refused(os.Getpid()):
		return errNumber
	}
	return err
}

// program is the guard:
//
//	struct sock *sk = socket->sk;
//	if (sk->__sk_common.skc_family != AF_XDP || sk->sk_mark >> 24 != tag)
//		return 0;
//	return (sk->sk_mark ^ bpf_get_current_pid_tgid() >> 32) & 0xffffff ? -EPERM : 0;
func program() (*ebpf.ProgramSpec, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("the kernel does not tell its types: %w", err)
	}
	sk, err1 := offset(kernel, "socket", "sk")
	common, err2 := offset(kernel, "sock", "__sk_common")
	family, err3 := offset(kernel, "sock_common", "skc_family")
	fwmark, err4 := offset(kernel, "sock", "sk_mark")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return &ebpf.ProgramSpec{
		Name: "sluice_guard", Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "socket_bind", License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R6, asm.R1, 0, asm.DWord), // the first argument: struct socket *
			asm.LoadMem(asm.R6, asm.R6, sk, asm.DWord),
			asm.LoadMem(asm.R1, asm.R6, common+family, asm.Half),
			asm.JNE.Imm(asm.R1, unix.AF_XDP, "allow"),
			asm.LoadMem(asm.R7, asm.R6, fwmark, asm.Word),
			asm.Mov.Reg(asm.R1, asm.R7),
			asm.RSh.Imm(asm.R1, pidBits),
			asm.JNE.Imm(asm.R1, tag, "allow"),
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.Xor.Reg(asm.R0, asm.R7),
			asm.And.Imm(asm.R0, pidMask),
			asm.JEq.Imm(asm.R0, 0, "allow"),
			asm.Mov.Imm(asm.R0, -int32(unix.EPERM)),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("allow"),
			asm.Return(),
		},
	}, nil
}

// offset is where a member lies in a structure of the running kernel, in octets.
func offset(kernel *btf.Spec, name, member string) (int16, error) {
	var s *btf.Struct
	if err := kernel.TypeByName(name, &s); err != nil {
		return 0, fmt.Errorf("the kernel's struct %s: %w", name, err)
	}
	for _, m := range s.Members {
		if m.Name == member {
			return int16(m.Offset.Bytes()), nil
		}
	}
	return 0, fmt.Errorf("the kernel's struct %s has no %s", name, member)
}

package ethtool_test

import (
	"bytes"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/ethtool/fakenic"
)

// runEthtool is traceEthtool for what must succeed.
func runEthtool(t *testing.T, nic *fakenic.NIC, args ...string) string {
	t.Helper()
	out, code := traceEthtool(t, nic, args...)
	require.Zero(t, code, "ethtool %v: %s", args, out)
	return out
}

// traceEthtool runs the real ethtool(8) with a fake device: each of its SIOCETHTOOL calls is caught on its way into the kernel, answered by
// the fake, and taken for done. It returns what the program printed.
func traceEthtool(t *testing.T, nic *fakenic.NIC, args ...string) (output string, code int) {
	t.Helper()
	path, err := exec.LookPath("ethtool")
	if err != nil {
		t.Skip("no ethtool here")
	}
	runtime.LockOSThread() // ptrace belongs to a thread
	defer runtime.UnlockOSThread()
	var out bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	code, err = (&tracer{pid: cmd.Process.Pid, nic: nic}).run()
	if err != nil {
		cmd.Process.Kill()
	}
	cmd.Wait() // the tracer has reaped it; this waits for the outputs
	require.NoError(t, err)
	return out.String(), code
}

// tracer follows one program from call to call.
type tracer struct {
	pid   int
	nic   *fakenic.NIC
	taken bool  // the call under way was answered here
	errno error // how
}

func (t *tracer) run() (code int, err error) {
	var ws unix.WaitStatus
	if _, err := unix.Wait4(t.pid, &ws, 0, nil); err != nil {
		return 0, err
	}
	if err := unix.PtraceSetOptions(t.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_EXITKILL); err != nil {
		return 0, err
	}
	for entering := true; ; {
		if err := unix.PtraceSyscall(t.pid, 0); err != nil {
			return 0, err
		}
		if _, err := unix.Wait4(t.pid, &ws, 0, nil); err != nil {
			return 0, err
		}
		switch {
		case ws.Exited():
			return ws.ExitStatus(), nil
		case ws.Signaled():
			return 0, errors.New("ended by " + ws.Signal().String())
		case ws.StopSignal() != unix.SIGTRAP|0x80:
			continue
		}
		if err := t.call(entering); err != nil {
			return 0, err
		}
		entering = !entering
	}
}

// call is at the entry or the exit of a system call.
func (t *tracer) call(entering bool) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(t.pid, &regs); err != nil {
		return err
	}
	if entering && regs.Orig_rax == unix.SYS_IOCTL && regs.Rsi == unix.SIOCETHTOOL {
		t.taken = true
		if err := t.answer(uintptr(regs.Rdx)); err != nil {
			return err
		}
		regs.Orig_rax = ^uint64(0) // no call of the kernel's
		return unix.PtraceSetRegs(t.pid, &regs)
	}
	if entering || !t.taken {
		return nil
	}
	t.taken, regs.Rax = false, 0
	var errno unix.Errno
	if errors.As(t.errno, &errno) {
		regs.Rax = -uint64(errno)
	}
	return unix.PtraceSetRegs(t.pid, &regs)
}

// answer passes a request to the fake, and writes what it says into the program.
func (t *tracer) answer(ifreq uintptr) error {
	var r [24]byte
	if _, err := unix.PtracePeekData(t.pid, ifreq, r[:]); err != nil {
		return err
	}
	at := uintptr(order.Uint64(r[16:]))
	head := make([]byte, 192)
	if _, err := unix.PtracePeekData(t.pid, at, head); err != nil {
		return err
	}
	req := make([]byte, fakenic.Length(head))
	if _, err := unix.PtracePeekData(t.pid, at, req); err != nil {
		return err
	}
	t.errno = t.nic.Ethtool(unix.ByteSliceToString(r[:16]), req)
	_, err := unix.PtracePokeData(t.pid, at, req)
	return err
}

package qemu

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/bedtest"
	"github.com/sluice-net/sluice/tests/testrig"
)

// Addresses on the wire between guest and host.
var (
	guestIP = netip.MustParseAddr("10.78.0.1")
	hostIP  = netip.MustParseAddr("10.78.0.2")
)

const (
	tapName = "tap0"
	queues  = 2 // pairs, as many as the guest has processors
	// bootTime bounds everything in a guest: an emulator is a hundred times slower than the machine it runs on.
	bootTime = 2 * time.Minute
)

// guestInit is the guest's first process. Scripts come by the second serial port, a line of base64 each; output and exit status go back.
const guestInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/sbin:/usr/bin:/sluice
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf; mount -t securityfs sec /sys/kernel/security
mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm
for m in /modules/*; do insmod $m; done
ip link set lo up
ip link set eth0 up
ip addr add ` + "10.78.0.1/24" + ` dev eth0
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1
echo ready
while read -r line; do
  echo "$line" | base64 -d > /tmp/script
  sh /tmp/script </dev/null >/tmp/output 2>&1
  rc=$?
  base64 /tmp/output
  echo "=$rc"
done
`

// guest is a booted machine.
type guest struct {
	t       *testing.T
	wire    *testbed.Node // the host's end of its network
	console string        // file
	shell   net.Conn
	lines   *bufio.Reader
}

// machine is what a scenario wants to boot.
type machine struct {
	programs []string          // of this machine, with their libraries
	files    map[string]string // by their path there, from a path here
	append   string            // to the kernel's command line
}

// boot starts a machine, and waits until it takes scripts. It goes with the test.
func boot(t *testing.T, k kernel, m machine) *guest {
	t.Helper()
	g := &guest{t: t, wire: bedtest.New(t, testbed.Config{}).Client, console: filepath.Join(t.TempDir(), "console")}
	initrd := build(t, k, m)
	taps := g.plug()
	port := filepath.Join(t.TempDir(), "shell")
	// Where others compute the emulated timer's interrupt is late, and Linux takes it for broken: hence no_timer_check.
	// QEMU 7.2 spoils the flags after cmpxchg16b, of which Linux 6.12 dies.
	cmd := exec.Command("qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max,la57=off,cx16=off", "-m", "1536", "-smp", strconv.Itoa(queues),
		"-display", "none", "-monitor", "none", "-no-reboot", "-nodefaults", "-no-user-config",
		"-kernel", k.image(t), "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check "+m.append,
		"-serial", "file:"+g.console, "-serial", "unix:"+port+",server=on,wait=off",
		"-netdev", "tap,id=n,vhost=off,fds="+fdList(3, len(taps)),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=n,mq=on,vectors=%d,romfile=", 2*queues+2)+k.dma(t),
	)
	cmd.ExtraFiles = taps
	g.start(cmd)
	for _, f := range taps {
		f.Close() // the device lives as long as the emulator
	}
	testrig.Until(t, "the emulator's serial port", func() (there bool) {
		var err error
		g.shell, err = net.Dial("unix", port)
		return err == nil
	})
	t.Cleanup(func() { g.shell.Close() })
	g.lines = bufio.NewReader(g.shell)
	require.Equal(t, "ready", g.line())
	return g
}

// start starts the emulator, and ends it with the test.
func (g *guest) start(cmd *exec.Cmd) {
	t := g.t
	t.Helper()
	said := filepath.Join(t.TempDir(), "qemu")
	out, err := os.Create(said)
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	out.Close()
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("emulator:\n%s\nconsole:\n%s", tail(said), tail(g.console))
		}
	})
}

// plug makes the tap device in the namespace; it has as many queues as the guest's.
func (g *guest) plug() (fds []*os.File) {
	g.t.Helper()
	require.NoError(g.t, g.wire.Do(func() error {
		tap := &netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: tapName}, Mode: netlink.TUNTAP_MODE_TAP, Queues: queues, NonPersist: true,
			Flags: netlink.TUNTAP_MULTI_QUEUE_DEFAULTS | netlink.TUNTAP_VNET_HDR,
		}
		if err := netlink.LinkAdd(tap); err != nil {
			return err
		}
		fds = tap.Fds
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: hostIP.AsSlice(), Mask: net.CIDRMask(24, 32)}}
		if err := netlink.AddrAdd(tap, addr); err != nil {
			return err
		}
		return netlink.LinkSetUp(tap)
	}))
	return fds
}

func fdList(first, n int) string {
	var s []string
	for i := range n {
		s = append(s, strconv.Itoa(first+i))
	}
	return strings.Join(s, ":")
}

func (g *guest) line() string {
	g.t.Helper()
	require.NoError(g.t, g.shell.SetReadDeadline(time.Now().Add(bootTime)))
	s, err := g.lines.ReadString('\n')
	require.NoError(g.t, err, "the guest's shell")
	return strings.TrimRight(s, "\r\n")
}

// try runs a script in the guest and returns what it wrote and how it ended. What it starts in the background must write elsewhere.
func (g *guest) try(script string) (out string, status int) {
	g.t.Helper()
	_, err := fmt.Fprintf(g.shell, "%s\n", base64.StdEncoding.EncodeToString([]byte(script)))
	require.NoError(g.t, err)
	var text strings.Builder
	for {
		line := g.line()
		if rest, ok := strings.CutPrefix(line, "="); ok {
			status, err = strconv.Atoi(rest)
			require.NoError(g.t, err)
			break
		}
		text.WriteString(line)
	}
	data, err := base64.StdEncoding.DecodeString(text.String())
	require.NoError(g.t, err)
	return string(data), status
}

// run is try of a script that must succeed.
func (g *guest) run(script string) string {
	g.t.Helper()
	out, status := g.try(script)
	require.Zero(g.t, status, "%s\n%s", script, out)
	return out
}

// until repeats a script until it succeeds.
func (g *guest) until(what, script string) {
	g.t.Helper()
	for end := time.Now().Add(bootTime); ; time.Sleep(100 * time.Millisecond) {
		out, status := g.try(script)
		if status == 0 {
			return
		}
		if time.Now().After(end) {
			g.t.Fatalf("waited %v in vain for: %s; the last attempt wrote:\n%s", bootTime, what, out)
		}
	}
}

// startBroker starts the broker in the guest; its log is shown if the test fails.
func (g *guest) startBroker(flags string) {
	g.t.Helper()
	g.run("sluice broker --log debug " + flags + " >/run/broker.log 2>&1 &")
	g.until("the broker", "test -S /run/sluice/broker.sock && sluice status >/dev/null")
	g.t.Cleanup(func() {
		if g.t.Failed() {
			out, _ := g.try("grep -v ' status' /run/broker.log | tail -c 6000; echo; tail -c 3000 /run/nginx.log; tail -c 6000 /var/log/nginx/error.log")
			g.t.Logf("guest:\n%s", out)
		}
	})
}

// tail is the end of a file, for people.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8000):])
}

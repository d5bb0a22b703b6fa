// Package drill runs scripts of packetdrill: against our stack, through the plug-in and in virtual time, or against the
// running kernel. Each run has a network namespace of its own.
package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrAbsent is what Find says when there is no packetdrill.
var ErrAbsent = errors.New("no packetdrill: build google/packetdrill and name its program in PACKETDRILL, or put it into the PATH")

// Find is the packetdrill program: $PACKETDRILL or the PATH's.
func Find() (string, error) {
	if p := os.Getenv("PACKETDRILL"); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("PACKETDRILL: %w", err)
		}
		return filepath.Abs(p)
	}
	p, err := exec.LookPath("packetdrill")
	if err != nil {
		return "", ErrAbsent
	}
	return p, nil
}

// Version is the IP version that a script is run with.
type Version string

// The versions of packetdrill's --ip_version.
const (
	IPv4   Version = "ipv4"
	IPv6   Version = "ipv6"
	Mapped Version = "ipv4-mapped-ipv6"
)

// Versions are all of them.
var Versions = []Version{IPv4, IPv6, Mapped}

// Fits tells whether a script is for a version: its name may end in -ipv4 or -ipv6.
func (v Version) Fits(script string) bool {
	name := strings.TrimSuffix(filepath.Base(script), ".pkt")
	return !strings.HasSuffix(name, "-ipv6") && !strings.HasSuffix(name, "-v6") && v != IPv6 ||
		!strings.HasSuffix(name, "-ipv4") && !strings.HasSuffix(name, "-v4") && v == IPv6
}

// flags are those of packetdrill's own test runner.
func (v Version) flags() []string {
	if v == IPv6 {
		return []string{"--ip_version=ipv6", "--mtu=1520", "--local_ip=fd3d:0a0b:17d6::1", "--gateway_ip=fd3d:0a0b:17d6:8888::1",
			"--remote_ip=fd3d:fa7b:d17d::1", "-D", "TFO_COOKIE=c1d1e9742a47a9bc", "-D", "TFO_COOKIE_ZERO=82af1a8f9a205c34",
			"-D", "CODE=address_unreachable", "-D", "CMSG_LEVEL_IP=SOL_IPV6", "-D", "CMSG_TYPE_RECVERR=IPV6_RECVERR"}
	}
	f := []string{"--ip_version=" + string(v), "--local_ip=192.168.0.1", "--gateway_ip=192.168.0.1", "--netmask_ip=255.255.0.0",
		"--remote_ip=192.0.2.1", "-D", "TFO_COOKIE=3021b9d889017eeb", "-D", "TFO_COOKIE_ZERO=b7c12350a90dc8f5", "-D", "CODE=host_unreachable"}
	if v == IPv4 {
		return append(f, "-D", "CMSG_LEVEL_IP=SOL_IP", "-D", "CMSG_TYPE_RECVERR=IP_RECVERR")
	}
	return append(f, "-D", "CMSG_LEVEL_IP=SOL_IPV6", "-D", "CMSG_TYPE_RECVERR=IPV6_RECVERR")
}

// flagsFor leaves the addresses to a script that names its own, as those do that know the Fast Open cookie of a pair: packetdrill
// lets the command line win.
func (v Version) flagsFor(script string) ([]string, error) {
	text, err := os.ReadFile(script)
	if err != nil {
		return nil, err
	}
	flags := v.flags()
	if v != IPv6 && bytes.Contains(text, []byte("\n--local_ip=")) {
		flags = slices.DeleteFunc(flags, func(f string) bool { return strings.Contains(f, "_ip=") })
	}
	return flags, nil
}

// Runner runs scripts.
type Runner struct {
	Program string        // packetdrill
	Plugin  string        // libsluice_packetdrill.so; "": the kernel
	Limit   time.Duration // of one run
	Flags   []string      // more of packetdrill's
}

// Run runs one script. The error tells what packetdrill said.
func (r *Runner) Run(ctx context.Context, script string, v Version) error {
	ctx, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	flags, err := v.flagsFor(script)
	if err != nil {
		return err
	}
	args := append([]string{r.Program, "--send_omit_free"}, flags...)
	args = append(args, r.Flags...)
	setup := "ip link set lo up; "
	if r.Plugin != "" {
		mtu := "1500"
		if v == IPv6 {
			mtu = "1520"
		}
		args = append(args, "--so_filename="+r.Plugin, "--so_flags=mtu="+mtu)
		// Scripts name the device that packetdrill would make. The plug-in is preloaded, too, for getsockopt(TCP_INFO).
		args = append([]string{"env", "LD_PRELOAD=" + r.Plugin}, args...)
		setup += "ip tuntap add dev tun0 mode tun; "
	}
	args = append(args, filepath.Base(script))
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", setup + `exec "$@"`, "sh"}, args...)...)
	cmd.Dir = filepath.Dir(script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not over after %v", r.Limit)
		}
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// Scripts lists the .pkt files below a directory.
func Scripts(dir string) (list []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".pkt") {
			list = append(list, path)
		}
		return err
	})
	return list, err
}

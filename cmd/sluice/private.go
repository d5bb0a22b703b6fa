package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const brokerKnob = "SLUICE_BROKER"

// ensureBroker finds the host's broker or starts one that lives as long as
// this process, and any process it leaves behind that still uses it.
func ensureBroker() error {
	if os.Getenv("SLUICE") == "off" {
		return nil
	}
	socket := os.Getenv(brokerKnob)
	if socket == "" {
		socket = defaultSocket
	}
	if brokerAnswers(socket) {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s does not answer, and only root can start one", socket)
	}
	own := fmt.Sprintf("%s/run-%d.sock", runDir, os.Getpid())
	if err := startPrivateBroker(own); err != nil {
		return err
	}
	return os.Setenv(brokerKnob, own)
}

func brokerAnswers(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == nil
}

// startPrivateBroker starts `sluice broker --for-pid` as a grandchild, so that
// the command that takes this process's place has no child it did not make.
func startPrivateBroker(socket string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ready, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	// The shell is the child that exits at once; the broker is its orphan.
	cmd := exec.Command("/bin/sh", "-c", `"$0" "$@" </dev/null >/dev/null 2>&1 &`, self, "broker",
		"--socket", socket, "--pins", strings.TrimSuffix(socket, ".sock")+".bpf/sluice", "--for-pid", strconv.Itoa(os.Getpid()), "--ready-fd", "3")
	cmd.Env = withoutPreload(os.Environ())
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Run()
	w.Close()
	if err != nil {
		return fmt.Errorf("start a broker: %w", err)
	}
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		return errors.New("the broker started for this command ended at once")
	}
	if line = strings.TrimSpace(line); line != "ready" {
		return errors.New(line)
	}
	return nil
}

func withoutPreload(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "LD_PRELOAD=") {
			out = append(out, e)
		}
	}
	return out
}

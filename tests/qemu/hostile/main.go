// Command hostile is a program without privilege that gets a queue of the broker's before it is bound, and tries to bind it elsewhere. It tells
// what came of each attempt, a line each; the last is the broker's own.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/broker/proto"
)

const patience = time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	const nobody = 65534
	if err := unix.Setgroups(nil); err != nil {
		return err
	}
	if err := unix.Setresgid(nobody, nobody, nobody); err != nil {
		return err
	}
	if err := unix.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(l, &unix.SockaddrInet4{Port: 9999}), unix.Listen(l, 16)); err != nil {
		return err
	}
	door, err := proto.Dial(proto.DefaultSocket)
	if err != nil {
		return err
	}
	c, _, err := proto.Open(door, proto.Hello{Program: "hostile", Frames: 256}, patience)
	if err != nil {
		return err
	}
	var g proto.Grant
	fds, err := c.Call(proto.OpListen, proto.Listen{}, []int{l}, &g, patience)
	if err != nil {
		return err
	}
	if len(g.VIs) == 0 {
		return fmt.Errorf("no queue: %v", g.Notes)
	}
	return attempts(c, g.VIs[0], fds[2])
}

// attempts tries to bind the socket of a queue, and has the broker do it in the end.
func attempts(c *proto.Client, v proto.VI, fd int) error {
	var layout afxdp.Layout
	if err := json.Unmarshal(v.Layout, &layout); err != nil {
		return err
	}
	fmt.Println("unbound:", layout.Unbound)
	bind := func(name string, ifindex, queue int, flags uint16) {
		fmt.Printf("%s: %v\n", name, unix.Bind(fd, &unix.SockaddrXDP{Ifindex: uint32(ifindex), QueueID: uint32(queue), Flags: flags}))
	}
	bind("its own queue", v.Ifindex, v.Queue, unix.XDP_USE_NEED_WAKEUP)
	bind("another queue", v.Ifindex, 1-v.Queue, unix.XDP_COPY)
	bind("another device", 1, 0, unix.XDP_COPY)
	fmt.Println("without its mark:", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 0))
	var bound afxdp.Layout
	var b proto.Bound
	if _, err := c.Call(proto.OpBind, proto.QueueRef{Ifindex: v.Ifindex, Queue: v.Queue}, nil, &b, patience); err != nil {
		return err
	}
	if err := json.Unmarshal(b.Layout, &bound); err != nil {
		return err
	}
	fmt.Println("by the broker:", !bound.Unbound)
	return nil
}

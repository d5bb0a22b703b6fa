package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/observe/ask"
)

// mirrorDevice is the interface's name.
const mirrorDevice = "sluice-mirror"

func mirrorCommand() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "mirror on|off",
		Short: "Show accelerated traffic on an interface, " + mirrorDevice + ", for any tool (root)",
		Long: "on: make the interface " + mirrorDevice + " in this network namespace; the broker writes both directions of all accelerated traffic to it,\n" +
			"until off, or its end. sluice status tells how many packets were mirrored and dropped.",
		Example:   "  sluice mirror on && tshark -i " + mirrorDevice,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"on", "off"},
	}
	brokerFlag(cmd, &socket)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		b, err := ask.Dial(socket, "mirror")
		if err != nil {
			return err
		}
		defer b.Close()
		if args[0] == "off" {
			return b.Mirror(proto.Mirror{Off: true})
		}
		tap, err := makeTap(mirrorDevice)
		if err != nil {
			return err
		}
		defer tap.Close()
		return b.Mirror(proto.Mirror{}, int(tap.Fd()))
	}
	return cmd
}

// makeTap makes a device that shows what is written to it, and takes no part in anything: no address, no ARP, no IPv6.
func makeTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	f := os.NewFile(uintptr(fd), "tap")
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mirror: make %s (is it there already?): %w", name, err)
	}
	_ = os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"), []byte("1"), 0)
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetARPOff(l)
	}
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("mirror: %s: %w", name, err)
	}
	return f, nil
}

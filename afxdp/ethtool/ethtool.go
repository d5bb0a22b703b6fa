// Package ethtool asks a network driver for its settings and changes them, by the requests of
// ethtool(8). Every call is for a device of the calling thread's network namespace.
package ethtool

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Driver is the name of a device's driver.
func Driver(device string) (string, error) {
	var name string
	err := withSocket(func(fd int) error {
		info, err := unix.IoctlGetEthtoolDrvinfo(fd, device)
		if err == nil {
			name = unix.ByteSliceToString(info.Driver[:])
		}
		return err
	})
	return name, wrap("driver", device, err)
}

// channels is struct ethtool_channels.
type channels struct {
	cmd                                 uint32
	maxRx, maxTx, maxOther, maxCombined uint32
	rx, tx, other, combined             uint32
}

// value is struct ethtool_value.
type value struct{ cmd, data uint32 }

// ReceiveQueues is how many receive queues a device uses now.
func ReceiveQueues(device string) (int, error) {
	ch := channels{cmd: unix.ETHTOOL_GCHANNELS}
	err := call(device, &ch)
	return int(ch.rx + ch.combined), wrap("channels", device, err)
}

// GRO says whether received packets are joined to larger ones (generic receive offload).
func GRO(device string) (bool, error) {
	v := value{cmd: unix.ETHTOOL_GGRO}
	err := call(device, &v)
	return v.data != 0, wrap("receive offload", device, err)
}

// SetGRO turns generic receive offload on or off. It needs CAP_NET_ADMIN.
func SetGRO(device string, on bool) error {
	v := value{cmd: unix.ETHTOOL_SGRO}
	if on {
		v.data = 1
	}
	return wrap("set receive offload", device, call(device, &v))
}

// NTuple says whether the device steers single flows to queues by rules (ethtool -N).
func NTuple(device string) (bool, error) {
	const flag = 1 << 27 // ETH_FLAG_NTUPLE
	v := value{cmd: unix.ETHTOOL_GFLAGS}
	err := call(device, &v)
	return v.data&flag != 0, wrap("flags", device, err)
}

// TakesTagsOff says whether the device takes the 802.1Q tags of received frames off (ethtool -K rxvlan): an XDP program then sees none.
func TakesTagsOff(device string) (bool, error) {
	const flag = 1 << 8 // ETH_FLAG_RXVLAN
	v := value{cmd: unix.ETHTOOL_GFLAGS}
	err := call(device, &v)
	return v.data&flag != 0, wrap("flags", device, err)
}

func withSocket(fn func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return fn(fd)
}

func wrap(what, device string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ethtool %s of %s: %w", what, device, err)
}

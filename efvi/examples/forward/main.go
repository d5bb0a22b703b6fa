// Forward joins two devices as a wire does: every frame that comes by one leaves by the other, unchanged and uncopied.
//
//	forward eth1 eth2
//
// It prints "ready", and on SIGTERM or SIGINT how many frames went each way. Both devices must have as many queues, and the hosts
// behind them must not leave checksums to their device (ethtool -K ... tx off) where no wire is in between, as on veth.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp"
	"github.com/sluice-net/sluice/afxdp/nic"
	"github.com/sluice-net/sluice/efvi"
)

const (
	frames    = 1024 // posted to each queue
	maxQueues = 16
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: forward DEVICE DEVICE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

func run(left, right string) (err error) {
	pd, err := nic.NewPD("forward", 2*frames*maxQueues)
	if err != nil {
		return err
	}
	var ports []*nic.Port
	defer func() {
		for _, p := range ports {
			err = errors.Join(err, p.Close())
		}
		err = errors.Join(err, pd.Close())
	}()
	for _, device := range []string{left, right} {
		p, err := pd.Open(device, efvi.All(), frames)
		if err != nil {
			return err
		}
		ports = append(ports, p)
	}
	if len(ports[0].VIs) != len(ports[1].VIs) {
		return fmt.Errorf("%s has %d queues, %s has %d", left, len(ports[0].VIs), right, len(ports[1].VIs))
	}
	return forward(ports[0], ports[1])
}

func forward(left, right *nic.Port) error {
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-signals
		stop.Store(true)
	}()
	fmt.Println("ready")
	runtime.LockOSThread()
	var there, back int
	for idle := 0; !stop.Load(); idle++ {
		for q := range left.VIs {
			a, b := pass(left.VIs[q], right.VIs[q]), pass(right.VIs[q], left.VIs[q])
			if there, back = there+a, back+b; a+b > 0 {
				idle = 0
			}
		}
		if idle > 1000 { // a wire that nobody uses costs nothing much
			left.Wait(time.Millisecond)
		}
	}
	fmt.Println("there", there, "back", back)
	return nil
}

// pass takes what happened at one queue: what came goes on by the other, and says how many frames that were; what was sent
// came by the other, and returns there.
func pass(at, other *afxdp.VI) (n int) {
	var ev [64]efvi.Event
	for _, e := range ev[:at.Poll(ev[:])] {
		switch {
		case e.Kind == efvi.EventTX:
			other.Post([]uint32{e.Frame})
		case e.Kind == efvi.EventRX && other.Send(e.Frame, e.Off, e.Len):
			n++
		default:
			at.Post([]uint32{e.Frame})
		}
	}
	_ = other.Flush() // what the device cannot take now goes with the next
	return n
}

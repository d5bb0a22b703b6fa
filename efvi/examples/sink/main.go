// Sink counts the datagrams to one UDP port and drops them: a flood costs this program some nanoseconds a packet, and the kernel,
// which serves everything else on the device, its XDP program. With -early the device's driver drops them, and this program only counts.
//
//	sink -device eth0 -to 192.0.2.1:9999
//
// It prints "ready", then the packets of each second in which some came, and on SIGTERM or SIGINT all of them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/nic"
	"github.com/sluice-net/sluice/efvi"
)

const maxQueues = 16

func main() {
	device := flag.String("device", "eth0", "network device")
	to := flag.String("to", "0.0.0.0:9", "address and port to drop; 0.0.0.0 and :: mean all of the device's")
	frames := flag.Int("frames", 1024, "frames posted to each queue")
	early := flag.Bool("early", false, "drop them in the driver")
	flag.Parse()
	local, err := netip.ParseAddrPort(*to)
	if filter := efvi.IPLocal(efvi.UDP, local); err == nil && *early {
		err = discard(*device, filter)
	} else if err == nil {
		err = take(*device, filter, *frames)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
		os.Exit(1)
	}
}

// discard drops in the driver what a filter chooses.
func discard(device string, f efvi.FilterSpec) error {
	d, err := nic.NewDiscard(device, f)
	if err != nil {
		return err
	}
	s := sink{}
	s.run(func() int {
		time.Sleep(time.Second / 10)
		s.packets, s.bytes, err = d.Count()
		return 0
	})
	return errors.Join(err, d.Close())
}

// take takes what a filter chooses from a port, and drops it.
func take(device string, f efvi.FilterSpec, frames int) error {
	pd, err := nic.NewPD("sink", frames*maxQueues)
	if err != nil {
		return err
	}
	port, err := pd.Open(device, f, frames)
	if err != nil {
		return errors.Join(err, pd.Close())
	}
	s := sink{}
	s.run(func() (n int) {
		for _, vi := range port.VIs {
			n += s.empty(vi)
		}
		if n == 0 {
			port.Wait(time.Second / 10)
		}
		return n
	})
	return errors.Join(port.Close(), pd.Close())
}

type sink struct {
	packets, bytes uint64
	ev             [256]efvi.Event
	back           [256]uint32
}

// empty looks once at a queue, and says how many packets there were.
func (s *sink) empty(vi efvi.VI) int {
	n := vi.Poll(s.ev[:])
	for i, e := range s.ev[:n] {
		s.back[i] = e.Frame
		if e.Kind == efvi.EventRX {
			s.packets++
			s.bytes += uint64(e.Len)
		}
	}
	vi.Post(s.back[:n]) // the ring that gave them has room for them
	return n
}

// run looks until a signal, and prints each second's packets.
func (s *sink) run(look func() (found int)) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	fmt.Println("ready")
	runtime.LockOSThread()
	for shown, before := time.Now(), uint64(0); len(stop) == 0; {
		if look() > 0 || time.Since(shown) < time.Second {
			continue
		}
		if n := s.packets - before; n > 0 {
			fmt.Printf("%.0f packets/s\n", float64(n)/time.Since(shown).Seconds())
		}
		shown, before = time.Now(), s.packets
	}
	fmt.Println("total", s.packets, "packets", s.bytes, "bytes")
}

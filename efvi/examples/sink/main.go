// Sink counts the datagrams to one UDP port and drops them: a flood costs this program some nanoseconds a packet, and the kernel,
// which serves everything else on the device, its XDP program.
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
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/afxdp/nic"
	"github.com/sluice-net/sluice/efvi"
)

func main() {
	device := flag.String("device", "eth0", "network device")
	to := flag.String("to", "0.0.0.0:9", "address and port to drop; 0.0.0.0 and :: mean all of the device's")
	frames := flag.Int("frames", 1024, "frames posted to each queue")
	flag.Parse()
	if err := run(*device, *to, *frames); err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
		os.Exit(1)
	}
}

func run(device, to string, frames int) (err error) {
	local, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	pd, err := nic.NewPD("sink", frames*maxQueues)
	if err != nil {
		return err
	}
	port, err := pd.Open(device, efvi.IPLocal(efvi.UDP, local), frames)
	if err != nil {
		return errors.Join(err, pd.Close())
	}
	defer func() { err = errors.Join(err, port.Close(), pd.Close()) }()
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-signals
		stop.Store(true)
	}()
	fmt.Println("ready")
	runtime.LockOSThread()
	s := sink{port: port, shown: time.Now()}
	for !stop.Load() {
		if s.turn() == 0 {
			s.show()
			port.Wait(100 * time.Millisecond)
		}
	}
	fmt.Println("total", s.packets, "packets", s.bytes, "bytes")
	return nil
}

const maxQueues = 16

// sink drops what comes by any queue of a port.
type sink struct {
	port           *nic.Port
	packets, bytes uint64
	ev             [256]efvi.Event
	back           [256]uint32
	shown          time.Time
	before         uint64 // packets when they were shown last
}

// turn looks once at each queue, and says how many packets there were.
func (s *sink) turn() (n int) {
	for _, vi := range s.port.VIs {
		got := vi.Poll(s.ev[:])
		for i, e := range s.ev[:got] {
			s.back[i] = e.Frame
			if e.Kind == efvi.EventRX {
				s.packets++
				s.bytes += uint64(e.Len)
			}
		}
		vi.Post(s.back[:got]) // the ring that gave them has room for them
		n += got
	}
	return n
}

// show prints a second's packets.
func (s *sink) show() {
	now := time.Now()
	if d := now.Sub(s.shown); d >= time.Second {
		if n := s.packets - s.before; n > 0 {
			fmt.Printf("%.0f packets/s\n", float64(n)/d.Seconds())
		}
		s.shown, s.before = now, s.packets
	}
}

// Pingpong measures how long a small Ethernet frame takes there and back, with no protocol above: what a device, its driver and
// AF_XDP cost. Both ends spin.
//
//	other#  pingpong -device eth0
//	this#   pingpong -device eth0 -to 02:00:00:00:00:02 -count 100000
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/sluice-net/sluice/afxdp/nic"
	"github.com/sluice-net/sluice/efvi"
)

// etherType marks our frames: IEEE 802's first number for local experiments.
const etherType = 0x88b5

const (
	frameLen = 64 // bytes, without the checksum of the wire
	posted   = 64 // frames for receiving
	patience = 5 * time.Second
)

func main() {
	device := flag.String("device", "eth0", "network device")
	to := flag.String("to", "", "Ethernet address of the other end; without it this is the end that answers")
	count := flag.Int("count", 100000, "frames to send")
	flag.Parse()
	if err := run(*device, *to, *count); err != nil {
		fmt.Fprintln(os.Stderr, "pingpong:", err)
		os.Exit(1)
	}
}

func run(device, to string, count int) (err error) {
	pd, err := nic.NewPD("pingpong", 16*posted+1)
	if err != nil {
		return err
	}
	port, err := pd.Open(device, efvi.EthType(etherType), posted)
	if err != nil {
		return errors.Join(err, pd.Close())
	}
	defer func() { err = errors.Join(err, port.Close(), pd.Close()) }()
	runtime.LockOSThread()
	if to == "" {
		fmt.Println("ready")
		answer(port, pd.Memory)
	}
	mac, err := net.ParseMAC(to)
	if err != nil || len(mac) != 6 {
		return fmt.Errorf("%q is no Ethernet address", to)
	}
	out, err := pd.Alloc(1)
	if err != nil {
		return err
	}
	b := pd.Memory.Frame(out)[:frameLen]
	copy(b, mac)
	copy(b[6:], port.Device.MAC[:])
	b[12], b[13] = etherType>>8, etherType&0xff
	return call(port, out, max(count, 1))
}

// answer sends every frame back, for ever.
func answer(port *nic.Port, mem efvi.Memory) {
	for {
		for _, vi := range port.VIs {
			var ev [posted]efvi.Event
			for _, e := range ev[:vi.Poll(ev[:])] {
				if e.Kind != efvi.EventRX {
					vi.Post([]uint32{e.Frame})
					continue
				}
				b := mem.Data(e)
				copy(b[:6], b[6:12])
				copy(b[6:12], port.Device.MAC[:])
				vi.Send(e.Frame, e.Off, e.Len)
				_ = vi.Flush()
			}
		}
	}
}

// call sends the frame out, again and again, each time when it has come back, and prints how long that took.
func call(port *nic.Port, out uint32, count int) error {
	took := make([]time.Duration, count)
	for i := range took {
		begin := time.Now()
		port.VIs[0].Send(out, 0, frameLen)
		_ = port.VIs[0].Flush()
		for back, turns := 0, 0; back < 2; turns++ { // the answer, and the frame itself
			for _, vi := range port.VIs {
				var ev [posted]efvi.Event
				for _, e := range ev[:vi.Poll(ev[:])] {
					back++
					if e.Kind != efvi.EventTX {
						vi.Post([]uint32{e.Frame})
					}
				}
			}
			if turns&0xffff == 0xffff && time.Since(begin) > patience {
				return errors.New("no answer")
			}
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	fmt.Println("p50", took[count/2], "p99", took[count*99/100], "max", took[count-1])
	return nil
}

// Package capture gathers the packets of accelerated programs from their rings (efvi/mirror) in the order of their times, as pcapng: what
// `sluice tcpdump` gives to the real tcpdump.
package capture

import (
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/broker/proto"
	"github.com/sluice-net/sluice/efvi/mirror"
	"github.com/sluice-net/sluice/efvi/trace"
	"github.com/sluice-net/sluice/observe/ask"
)

// Capture is one that is under way.
type Capture struct {
	b      *ask.Broker
	out    *trace.Writer
	rings  []*ring
	ifaces map[string]uint32
	batch  []packet
	store  []byte // the batch's bytes

	Packets uint64 // written
	lost    uint64 // of rings that are closed
	looks   uint64
}

type ring struct {
	*mirror.Reader
	pid  int
	from string // "nginx[4711]"
}

type packet struct {
	mirror.Packet
	from     string
	at, size int // in store
}

// Begin asks for the packets of all programs that this user may see, or of one process, and of those to come. w gets pcapng.
func Begin(b *ask.Broker, pid int, w io.Writer) (*Capture, error) {
	c := &Capture{b: b, out: trace.NewWriter(w, "sluice"), ifaces: map[string]uint32{}}
	if err := b.Mirror(proto.Mirror{Pid: pid}); err != nil {
		return nil, err
	}
	c.out.Flush() // who waits for the file's beginning knows that no packet is missed from here on
	return c, nil
}

// pause is how long the rings are left alone when there was nothing in them.
const pause = time.Millisecond

// Run goes on until stop is closed, the reader of the output goes away, or the broker does (an error). What is in the rings when it is
// stopped is written.
func (c *Capture) Run(stop <-chan struct{}) error {
	defer c.close()
	for {
		select {
		case <-stop:
			for c.look() > 0 && c.out.Err() == nil {
			}
			return nil
		default:
		}
		if err := c.arrivals(); err != nil {
			c.look()
			return err
		}
		if c.look(); c.out.Err() != nil {
			return nil // tcpdump has had enough
		}
	}
}

// arrivals takes rings of programs that came.
func (c *Capture) arrivals() error {
	wait := pause
	for {
		r, fd, err := c.b.Rings(wait)
		if err != nil {
			return fmt.Errorf("the broker went away: %w", err)
		}
		if fd < 0 {
			return nil
		}
		wait = 0
		reader, err := mirror.OpenReader(fd)
		unix.Close(fd)
		if err != nil {
			return err
		}
		c.rings = append(c.rings, &ring{reader, r.Pid, fmt.Sprintf("%s[%d]", r.Program, r.Pid)})
	}
}

// maxBatch bounds what is sorted at once.
const maxBatch = 8192

// look writes what is in the rings, oldest first, and returns how many packets that was.
func (c *Capture) look() int {
	c.batch, c.store = c.batch[:0], c.store[:0]
	c.looks++
	for i := 0; i < len(c.rings); i++ {
		ended := c.ended(c.rings[i]) // before the look: what it wrote last is taken
		n, err := c.take(c.rings[i])
		if err != nil || n == 0 && ended { // an error: its program wrote nonsense into it
			c.lost += c.rings[i].Dropped()
			c.rings[i].Close()
			c.rings = append(c.rings[:i], c.rings[i+1:]...)
			i--
		}
	}
	sort.SliceStable(c.batch, func(i, j int) bool { return c.batch[i].Time < c.batch[j].Time })
	for i := range c.batch {
		p := &c.batch[i]
		c.out.Note(c.iface(p.Ifindex, p.Queue), p.Time, p.Direction, p.Wire, c.store[p.at:p.at+p.size], p.from)
	}
	c.out.Flush()
	c.Packets += uint64(len(c.batch))
	return len(c.batch)
}

// ended looks, each second, whether a ring's program is there.
func (c *Capture) ended(r *ring) bool {
	return c.looks%(uint64(time.Second/pause)) == 0 && unix.Kill(r.pid, 0) == unix.ESRCH
}

func (c *Capture) take(r *ring) (n int, err error) {
	for n = range maxBatch {
		var p packet
		ok, err := r.Next(&p.Packet)
		if !ok {
			return n, err
		}
		p.from, p.at, p.size = r.from, len(c.store), len(p.Data)
		c.store = append(c.store, p.Data...)
		p.Data = nil
		c.batch = append(c.batch, p)
	}
	return n, nil
}

// iface is the number in the file of a device's queue.
func (c *Capture) iface(ifindex, queue uint32) uint32 {
	key := strconv.Itoa(int(ifindex)) + "/" + strconv.Itoa(int(queue))
	n, ok := c.ifaces[key]
	if !ok {
		name := "if" + key
		if i, err := net.InterfaceByIndex(int(ifindex)); err == nil {
			name = fmt.Sprintf("%s/%d", i.Name, queue)
		}
		n = c.out.AddInterface(name)
		c.ifaces[key] = n
	}
	return n
}

// Dropped is how many packets were lost because this reader was too slow.
func (c *Capture) Dropped() uint64 {
	n := c.lost
	for _, r := range c.rings {
		n += r.Dropped()
	}
	return n
}

func (c *Capture) close() {
	for _, r := range c.rings {
		c.lost += r.Dropped()
		r.Close()
	}
	c.rings = nil
}

package sim

import (
	"encoding/json"
	"math/rand/v2"

	"github.com/sluice-net/sluice/ustack/tcp"
)

// plan is a whole schedule as data: two hosts, the link between them, what happens to it, and what the programs do. It is
// drawn from one number (drawPlan), and small enough to be shrunk and kept (shrink_test.go, testdata/seeds).
type plan struct {
	Seed    uint64 // of every random decision while it runs: which packet is lost, the hosts' secrets
	V6      bool   `json:",omitempty"`
	MTU     int
	Frames  int // in each host's pool
	Backlog int
	Bursts  bool  `json:",omitempty"` // the devices take them
	Waits   bool  `json:",omitempty"` // ACKs of requests wait for the answers
	Joins   bool  `json:",omitempty"` // packets that follow each other arrive as one
	Parts   bool  `json:",omitempty"` // packets arrive in several frames even if one would hold them
	Slow    int64 `json:",omitempty"` // ns before the program accepts what waits
	Traits  [2]traits
	Link    [2]Link
	Faults  []event   `json:",omitempty"`
	Conns   []session `json:",omitempty"`
	Foe     *foePlan  `json:",omitempty"` // host 0 is no stack but a hostile peer
}

// traits are a host's sysctls, as far as they differ between runs.
type traits struct {
	NoSACK, NoTimestamps, NoScaling, NoDSACK, NoFRTO, NoTLP bool `json:",omitempty"`

	ECN        int    `json:",omitempty"`
	Congestion string `json:",omitempty"`
	SmallBuf   bool   `json:",omitempty"`
	MTUProbing int    `json:",omitempty"`
	Cookies    int    `json:",omitempty"`
}

// event is something that happens to a link (a fault), or in a program, at a time after the start.
type event struct {
	At   int64
	For  int64 `json:",omitempty"` // ns, then it is over
	Side int   `json:",omitempty"`
	What string
	N    int64 `json:",omitempty"`
}

// session is one connection: who opens it and when, how many bytes go each way, and what the programs do.
type session struct {
	At    int64
	From  int     `json:",omitempty"`
	Bytes [2]int  // from side 0, from side 1
	Chunk int     // largest read and write
	Ops   []event `json:",omitempty"`
}

func (t *traits) apply(p *tcp.Params) {
	p.SACK, p.Timestamps, p.WindowScaling = !t.NoSACK, !t.NoTimestamps, !t.NoScaling
	p.DSACK, p.FRTO = !t.NoDSACK, !t.NoFRTO
	if t.NoTLP {
		p.EarlyRetrans = 0
	}
	if t.Congestion != "" {
		p.Congestion = t.Congestion
	}
	if t.SmallBuf {
		p.Rmem = [3]int{4096, 8192, 16384}
	}
	p.ECN, p.MTUProbing, p.SYNCookies = t.ECN, t.MTUProbing, t.Cookies
}

// dice draws parts of a plan.
type dice struct{ *rand.Rand }

func pick[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

func (d dice) one(in int) bool { return d.IntN(in) == 0 }

// time is a duration up to most, often short.
func (d dice) time(most int64) int64 {
	f := d.Float64()
	return int64(f * f * float64(most))
}

const (
	calm    = 20 * second // after that the link is whole again
	longest = 5 * second  // one fault, one pause
)

// drawPlan makes the plan of a seed.
func drawPlan(seed uint64) *plan {
	d := dice{rand.New(rand.NewPCG(seed, 77))}
	p := &plan{Seed: seed, V6: d.one(3), MTU: pick(d, 1500, 1500, 1280, 3000, 600), Frames: pick(d, 64, 128, 512, 512, 1024),
		Backlog: pick(d, 0, 1, 8, 128)}
	if p.V6 {
		p.MTU = max(p.MTU, 1280)
	}
	if jumbo := (dice{rand.New(rand.NewPCG(seed, 78))}); jumbo.one(6) { // dice of its own: other seeds stay what they were
		p.MTU, p.Parts = pick(jumbo, p.MTU, 4500, 9000, 9000), jumbo.one(2)
	}
	if d.one(4) {
		p.Slow = max(d.time(3*second), ms) // less would be a step for each microsecond
	}
	for i := range p.Traits {
		p.Traits[i] = d.traits()
		p.Link[i] = d.link()
	}
	p.Faults = d.faults(p)
	if d.one(5) {
		p.V6, p.Foe = false, d.foe()
		if p.Traits[1].Cookies == 2 { // which know no smaller one
			p.Foe.MSS = max(p.Foe.MSS, 536)
		}
		return p
	}
	for range pick(d, 1, 1, 2, 4) {
		p.Conns = append(p.Conns, d.session(p))
	}
	return p
}

func (d dice) traits() traits {
	rare := func() bool { return d.one(5) }
	return traits{NoSACK: rare(), NoTimestamps: rare(), NoScaling: rare(), NoDSACK: rare(), NoFRTO: rare(), NoTLP: rare(),
		ECN: d.IntN(3), Congestion: pick(d, "cubic", "cubic", "reno", "bbr", "cubic", "cubic", "reno", "bbr3"), SmallBuf: rare(), MTUProbing: pick(d, 0, 0, 1, 2),
		Cookies: pick(d, 1, 1, 0, 2)}
}

func (d dice) link() Link {
	delay := pick(d, 0, ms/100, ms, 20*ms, 100*ms)
	l := Link{Delay: delay, Rate: pick(d, 0, 0, int64(1e6), int64(1e7), int64(1e9)), Queue: pick(d, 5, 50, 500)}
	if d.one(2) {
		l.Jitter = pick(d, 0, delay/10, delay)
		l.Reorder, l.Hold = pick(d, 0, 0, 0.01, 0.2), pick(d, ms/100, ms, 30*ms)
	}
	l.Loss, l.Dup = pick(d, 0, 0, 0.001, 0.01, 0.1), pick(d, 0, 0, 0.01, 0.2)
	if d.one(3) {
		l.Corrupt, l.Cut, l.Pad = pick(d, 0, 0.01, 0.1), pick(d, 0, 0, 0.01), pick(d, 0, 0.1)
	}
	l.Mark = pick(d, 0, 0, 0.01, 0.3)
	return l
}

func (d dice) faults(p *plan) (out []event) {
	for range pick(d, 0, 0, 1, 2, 4) {
		e := event{At: d.time(calm - longest), For: d.time(longest), Side: d.IntN(2),
			What: pick(d, "hole", "part", "lossy", "slow", "mtu", "narrow", "ring", "deaf", "neighbour")}
		switch e.What {
		case "ring", "neighbour": // the stack looks each millisecond
			e.For /= 10
		case "lossy":
			e.N = int64(d.IntN(60))
		case "slow":
			e.N = d.time(second)
		case "mtu", "narrow":
			e.N = int64(pick(d, 1280, 1400))
			if !p.V6 && d.one(2) {
				e.N = int64(576 + d.IntN(800))
			}
		}
		out = append(out, e)
	}
	return out
}

func (d dice) session(p *plan) session {
	size := func() int { return pick(d, 0, 1, 100, 3000, 20_000, 60_000, 150_000) }
	s := session{At: d.time(3 * second), From: d.IntN(2), Bytes: [2]int{size(), size()}, Chunk: pick(d, 16<<10, 16<<10, 1000, 100)}
	if s.Chunk < 1000 {
		s.Bytes[0], s.Bytes[1] = min(s.Bytes[0], 20_000), min(s.Bytes[1], 20_000)
	}
	for range pick(d, 0, 1, 2, 5, 10) {
		s.Ops = append(s.Ops, d.op())
	}
	return s
}

func (d dice) op() event {
	e := event{At: d.time(8 * second), Side: d.IntN(2)}
	switch d.IntN(12) {
	case 0:
		e.What, e.For = "stop reading", d.time(longest)
	case 1:
		e.What, e.For = "stop writing", d.time(longest)
	case 2:
		e.What, e.For = "cork", d.time(second)
	case 3:
		e.What, e.N = "nodelay", int64(d.IntN(2))
	case 4:
		e.What, e.N = "rcvbuf", int64(pick(d, 1, 3000, 20_000, 200_000))
	case 5:
		e.What, e.N = "sndbuf", int64(pick(d, 1, 3000, 20_000, 200_000))
	case 6:
		e.What, e.N = "congestion", int64(d.IntN(3))
	case 7:
		e.What, e.N = "lowat", int64(pick(d, 1, 2000, 20_000))
	case 8:
		e.What = pick(d, "urgent", "more", "peek", "quickack", "pacing", "half-close")
	case 9:
		e.What, e.N = "keepalive", int64(1+d.IntN(5))
	case 10:
		e.What = "move"
	case 11:
		e.What, e.For = pick(d, "move", "abort", "close", "thaw"), d.time(second)
	}
	return e
}

func (p *plan) String() string {
	b, err := json.Marshal(p)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

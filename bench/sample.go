package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-net/sluice/bench/procfs"
)

// Sample is what one run of one variant gave.
type Sample struct {
	Rate    float64            `json:"rate,omitempty"`      // per second, in the work's unit
	Count   uint64             `json:"count,omitempty"`     // requests, round trips or bytes in the window, warm-up and all
	Seconds float64            `json:"seconds,omitempty"`   // the window: from the client's start to its end
	Latency *Latency           `json:"latency,omitempty"`   //
	CPU     CPU                `json:"cpu"`                 // in the window
	Opens   Opens              `json:"opens"`               // connections in the window
	Packets uint64             `json:"packets,omitempty"`   // through hidden queues
	Figures map[string]float64 `json:"figures,omitempty"`   // what only this work has
	Notes   []string           `json:"disturbed,omitempty"` // what speaks against the sample
	Wrong   string             `json:"wrong,omitempty"`     // it took another path: counted nowhere

	hist *hdrhistogram.Histogram
}

// Latency is a histogram's summary, in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
	N    int64   `json:"n"`
}

// CPU is who used the processors, in seconds. Softirqs are a class of their own: on veth the receiver's protocol work runs in
// the sender's context, so neither end's processes can be charged with it.
type CPU struct {
	Server  float64 `json:"server"`  // the server's processes, user and system
	Client  float64 `json:"client"`  // the client's
	SoftIRQ float64 `json:"softirq"` // interrupts and softirqs of the machine
	Broker  float64 `json:"broker"`  // the broker's: each accelerated start, connect and end asks it something
	Others  float64 `json:"others"`  // everybody else's processes
	Steal   float64 `json:"steal"`   // taken by the hypervisor
	Slept   uint64  `json:"slept"`   // times the server's threads slept
	Forced  uint64  `json:"forced"`  // times they were made to wait for somebody else
	Grew    int64   `json:"grew"`    // the server's resident memory, bytes
}

// Total is all the work done on the machine.
func (c CPU) Total() float64 { return c.Server + c.Client + c.SoftIRQ + c.Broker + c.Others }

// Opens are connections by who opened them: the broker's counters and the kernel's own.
type Opens struct {
	ServerEngine uint64 `json:"server_engine"`
	ServerKernel uint64 `json:"server_kernel"`
	ClientEngine uint64 `json:"client_engine"`
	ClientKernel uint64 `json:"client_kernel"`
}

// newHist has three significant digits from 1 ns to a minute.
func newHist() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

func summary(h *hdrhistogram.Histogram) *Latency {
	q := func(p float64) float64 { return float64(h.ValueAtQuantile(p)) / 1000 }
	return &Latency{P50: q(50), P90: q(90), P99: q(99), P999: q(99.9), Max: float64(h.Max()) / 1000, N: h.TotalCount()}
}

// record keeps the histogram of a run.
func (s *Sample) record(h *hdrhistogram.Histogram) {
	if h.TotalCount() > 0 {
		s.hist, s.Latency = h, summary(h)
	}
}

// figure is the sample's figure, 0 if it has none.
func (s *Sample) figure(f Figure) float64 {
	switch f {
	case P50, P99:
		if s.Latency == nil {
			return 0
		}
		if f == P50 {
			return s.Latency.P50
		}
		return s.Latency.P99
	case Rate:
		return s.Rate
	case Cost:
		return s.cost()
	}
	return s.Figures[string(f)]
}

// cost is the machine's CPU time for one request, in microseconds (for bytes: nanoseconds a byte would be the same figure).
func (s *Sample) cost() float64 {
	if s.Count == 0 {
		return 0
	}
	return s.CPU.Total() * 1e6 / float64(s.Count)
}

func (s *Sample) short() string {
	text := ""
	if s.Latency != nil {
		text = fmt.Sprintf("p50 %.1f us, p99 %.1f us ", s.Latency.P50, s.Latency.P99)
	}
	if s.Rate > 0 {
		text += fmt.Sprintf("%.0f/s ", s.Rate)
	}
	for _, n := range append(s.Notes, s.Wrong) {
		if n != "" {
			text += "[" + n + "] "
		}
	}
	return text
}

// Limits above which a sample counts as disturbed.
const (
	maxSteal  = 0.02 // of the machine's time
	maxOthers = 0.05
	maxKernel = 0.01 // of the connections of an accelerated end that were the kernel's
)

// judge notes what speaks against the sample.
func (s *Sample) judge(v Variant, cores int) {
	if all := s.Seconds * float64(cores); all > 0 {
		if f := s.CPU.Steal / all; f > maxSteal {
			s.Notes = append(s.Notes, fmt.Sprintf("%.1f%% of the time stolen", 100*f))
		}
		if f := s.CPU.Others / all; f > maxOthers {
			s.Notes = append(s.Notes, fmt.Sprintf("other processes took %.1f%%", 100*f))
		}
	}
	s.Wrong = s.Opens.wrong(v.Path)
}

// wrong says if the connections did not take the variant's path.
func (o Opens) wrong(p Path) string {
	if p == Raw {
		return ""
	}
	for _, end := range []struct {
		name           string
		fast           bool
		engine, kernel uint64
	}{{"server", p.fastServer(), o.ServerEngine, o.ServerKernel}, {"client", p.fastClient(), o.ClientEngine, o.ClientKernel}} {
		right, bad := end.kernel, end.engine
		if end.fast {
			right, bad = bad, right
		}
		if float64(bad) > maxKernel*float64(right+bad) || end.fast && right == 0 {
			return fmt.Sprintf("not on this path: the %s's engine opened %d connections, its kernel %d", end.name, end.engine, end.kernel)
		}
	}
	return ""
}

// usageOf turns what was read before and after into CPU.
func usageOf(machine procfs.CPU, server, client, broker procfs.Usage) CPU {
	c := CPU{
		Server: server.CPU().Seconds(), Client: client.CPU().Seconds(), Broker: broker.CPU().Seconds(), SoftIRQ: machine.IRQ.Seconds(), Steal: machine.Steal.Seconds(),
		Slept: server.Voluntary, Forced: server.Involuntary, Grew: server.Anon,
	}
	// Ticks of two clocks do not add up to the last one.
	c.Others = max(0, (machine.User+machine.System).Seconds()-c.Server-c.Client-c.Broker)
	return c
}

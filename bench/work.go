package bench

import (
	"github.com/sluice-net/sluice/testbed"
)

// Work is one thing to measure in several variants.
type Work struct {
	Name, Title string
	Unit        string         // of Sample.Rate
	Bed         testbed.Config // that it wants
	Needs       []string       // programs besides those of the benchmark
	Package     string         // of Debian that has them
	TestbedOnly bool           // it changes the device, or makes no sense between two machines
	Seconds     float64        // that a load lasts; 0: as asked for
	Files       uint64         // that a process has to be allowed to open; 0: any limit will do
	Long        bool           // left out of a quick run
	MaxRounds   int            // 0: as many as asked for
	Cores       int            // that it wants at least for its figures to mean what they say; 0: 2
	Note        string         // what a reader has to know
	Variants    []Variant
	Compare     []Comparison
}

// Path is which ends are accelerated.
type Path int

// The paths. Raw has no sockets at all: it is the limit.
const (
	Kernel Path = iota // kernel ↔ kernel
	Server             // kernel client ↔ sluice server
	Both               // sluice ↔ sluice
	Raw                // frames over AF_XDP
)

var pathNames = [...]string{"kernel ↔ kernel", "kernel ↔ sluice", "sluice ↔ sluice", "raw AF_XDP"}

func (p Path) String() string { return pathNames[p] }

func (p Path) fastServer() bool { return p == Server || p == Both }
func (p Path) fastClient() bool { return p == Both }

// Variant is one way to do a work.
type Variant struct {
	Name string
	Path Path
	run  func(*Session) (*Sample, error)
}

// Figure is what two variants are compared by.
type Figure string

// The figures of a sample.
const (
	P50  Figure = "p50"
	P99  Figure = "p99"
	Rate Figure = "rate"
	Cost Figure = "cpu per request" // of the whole machine
)

// Kind is how two figures are compared.
type Kind int

// The kinds of a comparison. Better is how many times better Of is than To: faster, or more per second.
const (
	Better Kind = iota
	Times       // Of / To
	Minus       // Of - To
	Alone       // Of as it is
)

// Comparison is what two variants' figures say of each other, and what it should be. The target is data; the value is measured.
type Comparison struct {
	Name   string
	Of, To string // variants
	Figure Figure
	Kind   Kind
	Min    float64 // the target: the value is at least this
	Max    float64 // or at most this
	Per    float64 // the value is divided by this; 0: not
	AsGood string  // or no worse than the value measured for the comparison of this name
}

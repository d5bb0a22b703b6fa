package chaos

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/tests/testrig"
)

const pairPort = 7000

// twins are prog/pair.c at both ends, both accelerated: streams in both directions whose every octet is looked at.
type twins struct {
	*stand
	program      string
	server, call *testrig.Proc
	now, last    harm          // that the fault under way explains, and the one before
	until        time.Duration // of CLOCK_MONOTONIC, when that was over
	seen         int           // lines of the caller that are judged
	wrong        []error
	excused      int
}

func newTwins(t *testing.T) *twins {
	p := &twins{stand: newStand(t, pairPort, 1)}
	p.program = filepath.Join(p.rig.Dir, "pair")
	compile(t, p.program, "prog/pair.c")
	p.much = binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1), 1<<40)
	p.stand.pids = func() []int { return []int{p.server.Pid(), p.call.Pid()} }
	p.stand.said = func() string { return p.server.Output() } // the caller's lines are judged
	p.serve()
	env := append(p.env(), "SLUICE_LISTEN=none", "SLUICE_CONNECT=*:*")
	p.call = testrig.Start(t, p.rig.Client, env, testrig.Built(t, "sluice"), "run", "--", p.program, "call", p.rig.Server.IPv4.String(), fmt.Sprint(pairPort), "4", fmt.Sprint(4<<20))
	return p
}

func (p *twins) serve() {
	p.server = testrig.Start(p.t, p.rig.Server, p.env(), testrig.Built(p.t, "sluice"), "run", "--", p.program, "serve", p.rig.Server.IPv4.String(), fmt.Sprint(pairPort))
}

// octets is how many the caller received so far, all of them right.
func (p *twins) octets() (n uint64) {
	text := p.call.Output()
	if at := strings.LastIndex(text, "octets "); at >= 0 {
		fmt.Sscan(text[at+len("octets "):], &n)
	}
	return n
}

func (p *twins) whole() {
	p.t.Helper()
	p.await("both ends to be accelerated", func() error { return p.queuesOf(p.pids()) })
}

// tour waits until the streams go on, and whoever waits for a reset has it.
func (p *twins) tour() {
	if p.now >= openConns {
		time.Sleep(700 * time.Millisecond)
	}
	before := p.octets()
	testrig.Until(p.t, "octets", func() bool { return p.octets() > before })
}

func (p *twins) explain(h harm) {
	p.judge()
	if h < p.now {
		p.last, p.until = p.now, monotonic(p.t)
	}
	p.now = h
}

func (p *twins) unexplained() []error {
	p.judge()
	return p.wrong
}

// explains says from which harm on an error is one to be expected.
var explains = map[string]harm{
	"ECONNRESET": openConns, "EPIPE": openConns, "ECONNABORTED": openConns,
	"ECONNREFUSED": allConns, "EMFILE": allConns, "ENOMEM": allConns, "ENOBUFS": allConns,
	"EHOSTUNREACH": unreachable, "ENETUNREACH": unreachable,
}

// late is how long after a fault a stream that it broke may learn of it: the broker sends its resets a second time after 0.6 s.
const late = 2 * time.Second

// lately is what the last fault explains, of a stream that began before its end.
func (p *twins) lately(began string) harm {
	ms, err := strconv.ParseInt(began, 10, 64)
	require.NoError(p.t, err)
	if time.Duration(ms)*time.Millisecond < p.until && monotonic(p.t) < p.until+late {
		return p.last
	}
	return harmless
}

func monotonic(t *testing.T) time.Duration {
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return time.Duration(now.Nano())
}

func (p *twins) judge() {
	lines := strings.Split(p.call.Output(), "\n")
	for _, line := range lines[p.seen : len(lines)-1] {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "octets" {
			continue
		}
		need, known := explains[words[len(words)-1]]
		if words[0] == "error" && known && max(p.now, p.lately(words[1])) >= need {
			p.excused++
		} else {
			p.look()
			p.wrong = append(p.wrong, fmt.Errorf("when %d explained: %s", p.now, line))
		}
	}
	p.seen = len(lines) - 1
	if strings.Contains(p.server.Output(), "wrong") {
		p.wrong = append(p.wrong, fmt.Errorf("the server got something wrong"))
	}
}

func (p *twins) wounds() []wound {
	return []wound{
		{"kill the server", allConns, func(*stand, *rand.Rand) {
			p.judge()
			p.server.Stop(syscall.SIGKILL)
			p.serve()
		}},
		{"stop and continue an end", harmless, func(_ *stand, rnd *rand.Rand) {
			end := []*testrig.Proc{p.server, p.call}[rnd.IntN(2)]
			end.Signal(syscall.SIGSTOP)
			pause(rnd)
			end.Signal(syscall.SIGCONT)
		}},
	}
}

// TestPair: whatever goes wrong, no octet is wrong, and no stream breaks without an explanation.
func TestPair(t *testing.T) {
	sideBySide(t)
	p := newTwins(t)
	p.whole()
	aside := startBystander(t, p.rig)
	p.tour()
	before := p.vitals()
	rounds(t, pair, p.stand, p, p.wounds())
	require.NoError(t, aside.end(), "a connection of the kernel's was disturbed")
	p.noMoreThan(before)
	t.Logf("%d octets received right, %d streams broke as explained; the bystander made %d ways, the longest %v", p.octets(), p.excused, aside.count, aside.slowly)
}

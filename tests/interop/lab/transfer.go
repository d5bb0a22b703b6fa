package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/observe/ask"
	"github.com/sluice-net/sluice/observe/counters"
	"github.com/sluice-net/sluice/testbed"
)

// Transfer is one file over one connection. "Ours" is the end under test.
type Transfer struct {
	Fast       bool // ours is accelerated
	Call       bool // ours is the client
	Send       bool // ours sends
	V6         bool
	Congestion string
	Size       int
	Limit      time.Duration // after which it has failed
}

// Result is what the receiving program measured, from the connection to the end of the stream.
type Result struct {
	Seconds float64
	Mbit    float64 // of payload per second
	Peer    string  // what the other end's kernel counted, for whoever asks why
	Own     string  // what the end under test counted, the engine or the kernel
}

const port = 7001

// Transfer moves Size random bytes and compares the SHA-256 of what came. It is repeated if the program waited in vain for
// the broker and went by the kernel, as it should: other namespaces that go away hold the kernel's lock of all devices.
func (l *Lab) Transfer(t Transfer) (res Result, err error) {
	for range 3 {
		if res, err = l.try(t); !errors.Is(err, errNoBroker) {
			break
		}
	}
	return res, err
}

var errNoBroker = errors.New("stayed with the kernel, as the broker did not answer in time")

func (l *Lab) try(t Transfer) (res Result, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Limit+patience)
	defer cancel()
	from, want, err := l.source(t.Size)
	if err != nil {
		return res, err
	}
	to, size := filepath.Join(l.dir, "to"), strconv.Itoa(t.Size)
	send, receive := []string{"send", from}, []string{"receive", to, size}
	ours, theirs := receive, send
	if t.Send {
		ours, theirs = send, receive
	}
	before, engines, peer, own := l.packets(), l.ended(), count(l.Client), count(l.Server)
	server, client, err := l.run(ctx, t, ours, theirs)
	if err != nil {
		return res, err
	}
	receiver := client
	if t.Call == t.Send { // ours calls and sends, or serves and receives
		receiver = server
	}
	if err := checkAccelerated(t, l.packets()-before, server.err.String()+client.err.String()); err != nil {
		return res, err
	}
	if got, err := fileSum(to); err != nil || got != want {
		return res, fmt.Errorf("what came is not what was sent (%v)", err)
	}
	res, err = parse(receiver.out.String(), t.Size)
	res.Peer, res.Own = more(count(l.Client), peer), more(count(l.Server), own)
	if t.Fast {
		res.Own = more(l.ended(), engines)
		res.Own += "\n" + server.err.String()
	}
	return res, err
}

// ended is what the engines of programs that ended have counted, under the names that nstat has for them.
func (l *Lab) ended() map[string]uint64 {
	b, err := ask.Dial(l.socket(), "interop")
	if err != nil {
		return nil
	}
	defer b.Close()
	r, err := counters.Gather(b, 0)
	if err != nil {
		return nil
	}
	return r.Ended.Map(false)
}

// count is what a host's kernel has counted of TCP.
func count(n *testbed.Node) map[string]uint64 {
	out, _ := n.Run("nstat", "-as", "Ip*InReceives", "Tcp*Segs", "TcpExtTCP*")
	counts := map[string]uint64{}
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] != "#kernel" {
			counts[f[0]], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return counts
}

// more is what counters have more than before.
func more(now, before map[string]uint64) string {
	var words []string
	for name, n := range now {
		if n > before[name] {
			words = append(words, fmt.Sprintf("%s=%d", name, n-before[name]))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// run runs the serving and the calling program to their ends.
func (l *Lab) run(ctx context.Context, t Transfer, ours, theirs []string) (server, client *program, err error) {
	host := l.Server.IPv4
	switch {
	case t.Call && t.V6:
		host = l.Client.IPv6
	case t.Call:
		host = l.Client.IPv4
	case t.V6:
		host = l.Server.IPv6
	}
	if t.Call {
		server, err = l.theirs(ctx, "serve", host, port, t.Congestion, theirs)
	} else {
		server, err = l.ours(ctx, t.Fast, "serve", host, port, t.Congestion, ours)
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = server.stop() }()
	if err := l.ready(server, t.Fast && !t.Call, t.Call, port); err != nil {
		return nil, nil, err
	}
	if t.Call {
		client, err = l.ours(ctx, t.Fast, "call", host, port, t.Congestion, ours)
	} else {
		client, err = l.theirs(ctx, "call", host, port, t.Congestion, theirs)
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = client.stop() }()
	if err := client.wait(); err != nil {
		return nil, nil, err
	}
	return server, client, server.wait()
}

func arguments(role string, host netip.Addr, port int, congestion string, action []string) []string {
	return append([]string{role, host.String(), strconv.Itoa(port), congestion}, action...)
}

func (l *Lab) ours(ctx context.Context, fast bool, role string, host netip.Addr, port int, congestion string, action []string) (*program, error) {
	prog, args := filepath.Join(l.cfg.Bin, "transfer"), arguments(role, host, port, congestion, action)
	if !fast {
		return start(ctx, l.Server, nil, prog, args...)
	}
	env := []string{"SLUICE_BROKER=" + l.socket(), "SLUICE_CONNECT=none", "SLUICE_LISTEN=" + strconv.Itoa(port)}
	if role == "call" {
		env[1], env[2] = "SLUICE_CONNECT=0.0.0.0/0:"+strconv.Itoa(port), "SLUICE_LISTEN=none"
		if host.Is6() {
			env[1] = "SLUICE_CONNECT=[::/0]:" + strconv.Itoa(port)
		}
	}
	return start(ctx, l.Server, env, filepath.Join(l.cfg.Bin, "sluice"), append([]string{"run", "--", prog}, args...)...)
}

func (l *Lab) theirs(ctx context.Context, role string, host netip.Addr, port int, congestion string, action []string) (*program, error) {
	return start(ctx, l.Client, nil, filepath.Join(l.cfg.Bin, "transfer"), arguments(role, host, port, congestion, action)...)
}

// ready waits until a server listens and, accelerated, has its queues.
func (l *Lab) ready(server *program, fast, theirs bool, port int) error {
	node := l.Server
	if theirs {
		node = l.Client
	}
	return server.until(func() bool {
		out, _ := node.Run("ss", "-Hltn", "sport", "=", ":"+strconv.Itoa(port))
		if strings.TrimSpace(out) == "" {
			return false
		}
		if !fast {
			return true
		}
		st, err := broker.Query(l.socket(), patience)
		return err == nil && st.Queues() > 0
	})
}

// checkAccelerated: the packets went where they should.
func checkAccelerated(t Transfer, packets uint64, said string) error {
	if t.Fast && packets == 0 && strings.Contains(said, "no answer in time") {
		return errNoBroker
	}
	least := uint64(t.Size / 9000)
	if t.Fast && packets < least {
		return fmt.Errorf("was to be accelerated, but only %d packets went through a hidden queue: %s", packets, said)
	}
	if !t.Fast && packets > 0 {
		return fmt.Errorf("was to go by the kernel, but %d packets went through a hidden queue", packets)
	}
	return nil
}

// source is a file of n random bytes, and its sum.
func (l *Lab) source(n int) (name string, sum [32]byte, err error) {
	name = filepath.Join(l.dir, "from"+strconv.Itoa(n))
	if _, err := os.Stat(name); err != nil {
		f, err := os.Create(name)
		if err != nil {
			return "", sum, err
		}
		defer f.Close()
		if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{1}), int64(n)); err != nil {
			return "", sum, err
		}
	}
	sum, err = fileSum(name)
	return name, sum, err
}

func fileSum(name string) (sum [32]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// parse reads "bytes nanoseconds".
func parse(out string, size int) (res Result, err error) {
	var n, ns int64
	if _, err := fmt.Sscan(out, &n, &ns); err != nil || ns <= 0 {
		return res, fmt.Errorf("the receiver printed %q", out)
	}
	if size >= 0 && n != int64(size) {
		return res, fmt.Errorf("%d bytes of %d came", n, size)
	}
	res.Seconds = float64(ns) / 1e9
	res.Mbit = float64(n) * 8 / 1e6 / res.Seconds
	return res, nil
}

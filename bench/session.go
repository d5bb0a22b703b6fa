package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/bench/procfs"
	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed"
)

// Session is a broker and two ends, on a testbed or on a real link.
type Session struct {
	cfg    Config
	ctx    context.Context
	dir    string // readable by every user; under it everything that is written
	socket string
	broker *Process
	cores  []string // first the server's, last the client's

	seconds float64 // that a load lasts in the work under way
	ports   int     // used so far

	bed    *testbed.Bed // nil on a real link
	bedCfg testbed.Config
	server *local
	client host
}

// Open starts a broker; the testbed comes with the first work.
func Open(ctx context.Context, cfg Config) (s *Session, err error) {
	cfg.defaults()
	s = &Session{cfg: cfg, ctx: ctx, cores: pick()}
	if s.dir, err = os.MkdirTemp("", "sluice-bench-"); err != nil {
		return nil, err
	}
	s.socket = filepath.Join(s.dir, "broker.sock")
	err = os.Chmod(s.dir, 0o755)
	if err == nil {
		s.broker, err = s.startBroker()
	}
	if err == nil && cfg.Device != "" {
		err = s.link()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) startBroker() (*Process, error) {
	// Not ended by the context: it has mounts and programs to take away when Close says so.
	args := append(priority(s.cfg.Realtime), filepath.Join(s.cfg.Bin, "sluice"), "broker", "--socket", s.socket, "--pins", filepath.Join(s.dir, "bpf", "sluice"))
	cmd := exec.Command(args[0], args[1:]...)
	p, err := s.launch(&local{}, cmd)
	if err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	err = p.until("the broker answers", func() bool {
		_, err := broker.Query(s.socket, patience)
		return err == nil
	})
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Close ends everything and removes what was written, but for the report.
func (s *Session) Close() error {
	var err error
	if s.bed != nil {
		err = s.bed.Close()
	}
	if s.broker != nil {
		s.broker.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// use makes the testbed a work wants, if it is not there yet.
func (s *Session) use(cfg testbed.Config) (err error) {
	if s.cfg.Device != "" || s.bed != nil && s.bedCfg == cfg {
		return nil
	}
	if s.bed != nil {
		if err := s.kernelAlone(); err != nil {
			return err
		}
		if err := s.bed.Close(); err != nil {
			return fmt.Errorf("close the testbed: %w", err)
		}
	}
	if s.bed, err = testbed.New(cfg); err != nil {
		return fmt.Errorf("make the testbed: %w", err)
	}
	s.bedCfg = cfg
	s.server = s.end(s.bed.Server, s.cores[0])
	s.client = s.end(s.bed.Client, s.cores[len(s.cores)-1])
	return nil
}

func (s *Session) end(n *testbed.Node, core string) *local {
	return &local{node: n, ip: n.IPv4, mac: n.MAC, cores: core, bin: s.cfg.Bin, dir: s.dir, socket: s.socket, realtime: s.cfg.Realtime}
}

// link takes the two ends of a real link.
func (s *Session) link() error {
	ip, mac, err := onDevice(s.cfg.Device)
	if err != nil {
		return err
	}
	s.server = &local{ip: ip, mac: mac, cores: s.cores[0], bin: s.cfg.Bin, dir: s.dir, socket: s.socket, realtime: s.cfg.Realtime}
	s.client, err = dialPeer(s.ctx, s.cfg.Peer, s.cfg.Token)
	return err
}

// missing says why a work cannot be done here; empty: it can.
func (s *Session) missing(w Work) string {
	if s.cfg.Device != "" && w.TestbedOnly {
		return "only on the testbed"
	}
	if n := len(s.cores); n < 2 {
		return "two processors are needed, one for each end"
	}
	if w.Files > 0 && s.cfg.Device == "" && !allowFiles(w.Files) {
		return fmt.Sprintf("a process may not open %d files here (ulimit -Hn, and no CAP_SYS_RESOURCE)", w.Files)
	}
	for _, p := range w.Needs {
		server := &local{bin: s.cfg.Bin}
		if !server.has(p) && (s.cfg.Device == "" || !s.client.has(p)) {
			return fmt.Sprintf("%s is not installed (Debian package %s)", p, w.Package)
		}
	}
	return ""
}

// allowFiles raises the limit of this process, which its children inherit; it tells whether the limit is high enough.
func allowFiles(n uint64) bool {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return false
	}
	return r.Max >= n || unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: r.Cur, Max: n}) == nil
}

// pick lists the processors to pin to: those this process may use, without second threads of a core that is in already.
func pick() (cores []string) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	seen := map[string]bool{}
	for cpu := range 1024 {
		if !set.IsSet(cpu) {
			continue
		}
		group := procfs.Siblings(cpu)
		if group != "" && seen[group] {
			continue
		}
		seen[group] = true
		cores = append(cores, strconv.Itoa(cpu))
	}
	return cores
}

// where says which processors are whose.
func (s *Session) where() string {
	return "server on processor " + s.cores[0] + ", client on " + s.cores[len(s.cores)-1] + " of " + strings.Join(s.cores, ",")
}

// port is one that no run of this session has used: connections that the kernel has in TIME-WAIT from an earlier one are the
// kernel's to answer, also when the next listener is accelerated.
func (s *Session) port() int { return s.portRange(1) }

func (s *Session) portRange(n int) int {
	const first, end = 10_000, 30_000 // below the range that connect takes from
	if first+s.ports+n > end {
		s.ports = 0
	}
	p := first + s.ports
	s.ports += n
	return p
}

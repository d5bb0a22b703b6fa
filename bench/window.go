package bench

import (
	"time"

	"github.com/sluice-net/sluice/bench/procfs"
)

// window is what was read before the client began.
type window struct {
	s              *Session
	server         *Process
	began          time.Time
	machine        procfs.CPU
	used, broker   procfs.Usage
	serverO, peerO *opened
}

// open reads all counters; server is nil if there is no process of its own.
func (s *Session) open(server *Process) (*window, error) {
	w := &window{s: s, server: server}
	var err error
	if w.serverO, err = s.server.opens(); err != nil {
		return nil, err
	}
	if w.peerO, err = s.client.opens(); err != nil {
		return nil, err
	}
	if server != nil {
		w.used = procfs.TreeUsage(server.pid())
	}
	w.broker = procfs.TreeUsage(s.broker.pid())
	w.machine, err = procfs.MachineCPU()
	w.began = time.Now()
	return w, err
}

// close makes a sample of what passed, with the client's output.
func (w *window) close(client *output) (*Sample, error) {
	s := &Sample{Seconds: time.Since(w.began).Seconds()}
	machine, err := procfs.MachineCPU()
	if err != nil {
		return nil, err
	}
	var used procfs.Usage
	if w.server != nil {
		used = procfs.TreeUsage(w.server.pid()).Sub(w.used)
	}
	usage := procfs.Usage{}
	if client != nil && w.s.bed != nil { // else it was another machine's
		usage = client.Usage
	}
	s.CPU = usageOf(machine.Sub(w.machine), used, usage, procfs.TreeUsage(w.s.broker.pid()).Sub(w.broker))
	serverO, err := w.s.server.opens()
	if err != nil {
		return nil, err
	}
	peerO, err := w.s.client.opens()
	if err != nil {
		return nil, err
	}
	s.Opens = Opens{
		ServerEngine: serverO.Accepted - w.serverO.Accepted, ServerKernel: serverO.Kernel.Passive - w.serverO.Kernel.Passive,
		ClientEngine: peerO.Connected - w.peerO.Connected, ClientKernel: peerO.Kernel.Active - w.peerO.Kernel.Active,
	}
	s.Packets = serverO.Packets - w.serverO.Packets
	return s, nil
}

// load is a server and a client that loads it.
type load struct {
	path   Path
	server command
	cores  string // the server's; empty: its one
	port   int
	ready  []func() bool
	client command
	read   func(*Sample, *output) error // takes the client's figures
	more   func(*Sample, *Process)      // takes more of the server while it stands; may be nil
}

// run starts the server, runs the client against it, and ends the server.
func (l load) run(s *Session) (sample *Sample, err error) {
	if !l.path.fastServer() {
		if err := s.kernelAlone(); err != nil {
			return nil, err
		}
	}
	l.server.Fast, l.client.Fast = l.path.fastServer(), l.path.fastClient()
	if l.client.Fast {
		l.client.Knobs = append(l.client.Knobs, s.clientKnobs()...)
	}
	if l.cores == "" {
		l.cores = s.cores[0]
	}
	p, err := s.serve(l.server, l.cores, l.port, l.ready...)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	w, err := s.open(p)
	if err != nil {
		return nil, err
	}
	out, err := s.client.run(s.ctx, l.client)
	if err != nil {
		return nil, err
	}
	if sample, err = w.close(out); err != nil {
		return nil, err
	}
	if l.more != nil {
		l.more(sample, p)
	}
	return sample, l.read(sample, out)
}

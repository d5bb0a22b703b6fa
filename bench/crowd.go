package bench

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-net/sluice/bench/procfs"
)

// crowdPorts are the listeners, so that 100,000 connections from one address find ports enough.
const crowdPorts = 8

// crowd is round trips while many connections are there, one in a hundred of them in use.
func crowd(counts ...int) Work {
	w := Work{
		Name: "many-" + strconv.Itoa(counts[len(counts)-1]), Title: "one byte each way by epoll, many established connections, 1% of them active", Unit: "round trips/s", Bed: oneQueue,
		Note: "the client is on the kernel; memory is what the server's whole process grew by, the heap's headroom with it; of the kernel's connections none of it is in the process",
	}
	for _, p := range []Path{Kernel, Server} {
		for _, n := range counts {
			w.Variants = append(w.Variants, Variant{Name: fmt.Sprintf("%d connections, %s", n, p), Path: p, run: func(s *Session) (*Sample, error) {
				return crowdRun(s, p, n, max(1, n/100))
			}})
		}
	}
	return w
}

func crowdRun(s *Session, p Path, n, active int) (*Sample, error) {
	first := s.portRange(crowdPorts)
	ip, port, ports := s.server.ip.String(), strconv.Itoa(first), strconv.Itoa(crowdPorts)
	sample, err := load{
		path: p, port: first + crowdPorts - 1,
		server: command{Program: "crowd", Args: []string{"serve", ip, port, ports}},
		client: command{Program: "crowd", Args: []string{"call", ip, port, ports, strconv.Itoa(n), strconv.Itoa(active), s.duration()}},
		read:   readLatencies,
	}.run(s)
	if err != nil {
		return nil, err
	}
	sample.Count = 0 // opening the connections was most of the work
	sample.Figures = map[string]float64{grew: float64(sample.CPU.Grew)}
	return sample, nil
}

// grew is a figure of the crowd: bytes that the server's process grew by. What the kernel keeps is not in it.
const grew = "server grew by, bytes"

// idle is what a server with open connections does when nothing happens.
func idle() Work {
	w := Work{Name: "idle", Title: "a server with 100 connections and nothing to do", Bed: oneQueue, MaxRounds: 3}
	for _, p := range []Path{Kernel, Server} {
		w.Variants = append(w.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) { return idleRun(s, p) }})
	}
	return w
}

// Figures of idle.
const (
	wakeUps = "wake-ups/s"
	idleCPU = "cpu ms/s"
)

func idleRun(s *Session, p Path) (*Sample, error) {
	const conns, look = 100, 2 * time.Second
	if !p.fastServer() {
		if err := s.kernelAlone(); err != nil {
			return nil, err
		}
	}
	n := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(n)
	srv, err := s.serve(command{Program: "crowd", Args: []string{"serve", ip, port, "1"}, Fast: p.fastServer()}, s.cores[0], n)
	if err != nil {
		return nil, err
	}
	defer srv.Stop()
	w, err := s.open(srv)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := s.client.run(s.ctx, command{Program: "crowd", Args: []string{"call", ip, port, "1", strconv.Itoa(conns), "0", "5"}})
		ended <- err
	}()
	time.Sleep(1500 * time.Millisecond) // the connections are open and quiet
	before := procfs.TreeUsage(srv.pid())
	time.Sleep(look)
	used := procfs.TreeUsage(srv.pid()).Sub(before)
	sample, err := w.close(nil)
	if err != nil {
		return nil, err
	}
	sample.Figures = map[string]float64{
		wakeUps: float64(used.Voluntary) / look.Seconds(), idleCPU: 1000 * used.CPU().Seconds() / look.Seconds(),
	}
	if open := sample.Opens.ServerEngine + sample.Opens.ServerKernel; open != conns {
		return nil, fmt.Errorf("%d connections were open, not %d", open, conns)
	}
	return sample, <-ended
}

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// What a program is seen by while it is measured.
const (
	unseen    = "nobody looks"
	unseenToo = "nobody looks, measured again"
	wasSeen   = "somebody looked and left"
	seen      = "sluice tcpdump looks"
)

// looks is what it costs to be seen: the ping-pong of a program nobody looks at, twice so that what the machine adds is known, of one whose
// packets were captured until a moment ago, and of one whose packets are.
func looks() Work {
	w := Work{Name: "looks", Title: "ping-pong of 1 byte, spinning, sluice ↔ sluice, while somebody looks or not", Unit: "round trips/s", Bed: oneQueue, TestbedOnly: true,
		Note: "The one who looks needs a processor too, and there may be no third."}
	for _, name := range []string{unseen, wasSeen, unseenToo, seen} {
		w.Variants = append(w.Variants, Variant{Name: name, Path: Both, run: func(s *Session) (*Sample, error) { return s.looked(name) }})
	}
	return w
}

// lookTargets: what is measured twice tells how far apart two equal things are here.
func lookTargets() []Comparison {
	c := func(name, of string, f Figure, max float64) Comparison {
		return Comparison{Name: name + ", " + string(f), Of: of, To: unseen, Figure: f, Kind: Times, Max: max}
	}
	return []Comparison{
		c("the same once more / nobody looks", unseenToo, P50, 0),
		c("somebody looked and left / nobody looks", wasSeen, P50, 1.01), c("somebody looked and left / nobody looks", wasSeen, P99, 0),
		c("sluice tcpdump looks / nobody looks", seen, P50, 0),
	}
}

// looked is one sample.
func (s *Session) looked(how string) (*Sample, error) {
	n := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(n)
	var eye *Process
	var failed error
	l := load{
		path: Both, port: n,
		server: command{Program: "pingpong", Args: []string{"serve", ip, port, "spin"}},
		client: command{Program: "pingpong", Args: []string{"call", ip, port, "spin", s.duration(), "1"}},
		read:   readLatencies,
	}
	if how == seen || how == wasSeen {
		l.ready = append(l.ready, func() bool { // once the server is accelerated
			if eye, failed = s.look(); failed == nil && how == wasSeen {
				eye.Stop()
				time.Sleep(100 * time.Millisecond) // the program is told
			}
			return true
		})
	}
	sample, err := l.run(s)
	if eye != nil {
		eye.Stop()
	}
	if failed != nil {
		return nil, fmt.Errorf("capture: %w", failed)
	}
	return sample, err
}

// look captures the packets of all programs until it is stopped.
func (s *Session) look() (*Process, error) {
	out := filepath.Join(s.dir, "capture")
	_ = os.Remove(out)
	cmd := exec.Command(filepath.Join(s.cfg.Bin, "sluice"), "tcpdump", "-U", "-w", out)
	cmd.Env = append(os.Environ(), "SLUICE_BROKER="+s.socket)
	p, err := s.launch(s.server, cmd)
	if err != nil {
		return nil, err
	}
	return p, p.until("packets are captured", func() bool {
		st, err := os.Stat(out)
		return err == nil && st.Size() > 0
	})
}

package bench

import (
	"fmt"
	"strconv"

	"github.com/sluice-net/sluice/testbed"
)

// bulk is one connection that carries all it can, each way. Without offload the kernel makes every segment itself, as it would
// for a device that cannot cut them; with it, veth carries super-packets of 64 KB that no wire would.
func bulk(name, title string, mtu int, offload bool) Work {
	w := Work{
		Name: name, Title: title, Unit: perByte, Bed: testbed.Config{Queues: 1, MTU: mtu}, TestbedOnly: true,
		Needs: []string{"ethtool"}, Package: "ethtool",
		Note: "before Linux 6.9 an attached XDP program makes veth cut packets to the MTU, and offload helps the kernel's receiver only while nobody is accelerated",
	}
	for _, way := range []struct{ verb, name string }{{"out", "server sends"}, {"in", "server receives"}} {
		for _, p := range []Path{Kernel, Server, Both} {
			w.Variants = append(w.Variants, Variant{Name: way.name + ", " + p.String(), Path: p, run: func(s *Session) (*Sample, error) {
				if err := s.offload(offload); err != nil {
					return nil, err
				}
				return bulkRun(s, p, way.verb)
			}})
		}
	}
	return w
}

func bulkRun(s *Session, p Path, verb string) (*Sample, error) {
	n := s.port()
	ip, port := s.server.ip.String(), strconv.Itoa(n)
	return load{
		path: p, port: n,
		server: command{Program: "bulk", Args: []string{"serve", ip, port}},
		client: command{Program: "bulk", Args: []string{verb, ip, port, s.duration()}},
		read: func(s *Sample, out *output) error {
			var bytes, ns uint64
			if _, err := fmt.Sscan(string(out.Stdout), &bytes, &ns); err != nil || ns == 0 {
				return fmt.Errorf("bulk printed %q", out.Stdout)
			}
			s.Rate = float64(bytes) * 1e9 / float64(ns)
			s.Count = bytes
			if verb == "out" { // a tenth went before the measured part
				s.Count = uint64(float64(bytes) * 1.1)
			}
			return nil
		},
	}.run(s)
}

// offload switches the kernel's segmentation and its undoing on or off, at both ends.
func (s *Session) offload(on bool) error {
	state := "off"
	if on {
		state = "on"
	}
	for _, h := range []host{s.server, s.client} {
		if _, err := h.run(s.ctx, command{Program: "ethtool", Args: []string{"-K", "veth0", "tso", state, "gso", state, "gro", state}}); err != nil {
			return err
		}
	}
	return nil
}

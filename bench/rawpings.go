package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-net/sluice/bench/raw"
)

// rawPings is the ping-pong of frames: its ends are this program again, one process each.
func rawPings(s *Session) (*Sample, error) {
	if err := s.kernelAlone(); err != nil {
		return nil, err
	}
	cmd := s.server.build(s.ctx, command{Program: "raw", Args: []string{"bench", "raw", "serve", s.server.ip.String()}}, s.cores[0])
	p, err := s.launch(s.server, cmd)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	if err := p.until("it reflects", func() bool { return strings.Contains(p.output(), rawReady) }); err != nil {
		return nil, err
	}
	w, err := s.open(p)
	if err != nil {
		return nil, err
	}
	out, err := s.client.run(s.ctx, command{Program: "raw", Args: []string{
		"bench", "raw", "call", s.client.address().String(), net.HardwareAddr(macOf(s.server)).String(), s.duration()}})
	if err != nil {
		return nil, err
	}
	sample, err := w.close(out)
	if err != nil {
		return nil, err
	}
	return sample, readLatencies(sample, out)
}

func macOf(h host) []byte {
	mac := h.hardware()
	return mac[:]
}

const rawReady = "reflecting"

// RawServe sends back every frame that comes to the device with the address, until a signal.
func RawServe(address string, ready io.Writer) error {
	e, err := raw.Open(net.ParseIP(address))
	if err != nil {
		return err
	}
	defer e.Close()
	signals, stop := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-signals
		close(stop)
	}()
	fmt.Fprintln(ready, rawReady)
	e.Reflect(stop)
	return nil
}

// RawCall sends frames for that long and writes their latencies, and how many there were, as the C programs do.
func RawCall(address, to string, d time.Duration, out, said io.Writer) error {
	mac, err := net.ParseMAC(to)
	if err != nil || len(mac) != 6 {
		return fmt.Errorf("%q is no Ethernet address", to)
	}
	e, err := raw.Open(net.ParseIP(address))
	if err != nil {
		return err
	}
	defer e.Close()
	var all []byte
	n, err := e.Call([6]byte(mac), d, func(ns int64) { all = binary.NativeEndian.AppendUint32(all, uint32(ns)) })
	if err != nil {
		return err
	}
	fmt.Fprintf(said, "%d in all\n", n)
	_, err = out.Write(all)
	return err
}

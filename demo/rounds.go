package demo

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-net/sluice/broker"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/testbed/wrk"
)

// connections that wrk keeps open.
const connections = 64

// web runs nginx with one worker against wrk for one round.
func (r *run) web(fast bool, p *Path) error {
	site := nginx.Site{Dir: filepath.Join(r.dir, "nginx"), Port: webPort, Backend: 1, Workers: 1}
	defer os.RemoveAll(site.Dir)
	conf, err := site.Write()
	if err != nil {
		return err
	}
	srv, err := r.server(fast, nginx.Path, "-c", conf)
	if err != nil {
		return err
	}
	defer srv.stop(syscall.SIGTERM)
	if err := r.ready(srv, webPort, fast); err != nil {
		return err
	}
	before, _ := broker.Query(r.socket, patience)
	watch := r.watchKernel(webPort)
	url := "http://" + netip.AddrPortFrom(r.bed.Server.IPv4, webPort).String() + "/index.html"
	out, err := r.client("wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", r.cfg.Seconds), "--latency", url)
	seen := watch()
	if err != nil {
		return err
	}
	after, _ := broker.Query(r.socket, patience)
	res, err := wrk.Parse(out)
	if err != nil {
		return err
	}
	if res.Errors > 0 {
		return fmt.Errorf("wrk met %d errors:\n%s", res.Errors, out)
	}
	p.Web = append(p.Web, WebRound{res.PerSecond, micros(res.P50), micros(res.P99)})
	p.Connections = max(p.Connections, seen)
	p.Packets += packets(after) - packets(before)
	return nil
}

// pings runs the ping-pong server and client for one round.
func (r *run) pings(fast bool, p *Path) error {
	bin, addr := filepath.Join(r.cfg.Bin, "pingpong"), r.bed.Server.IPv4.String()
	srv, err := r.server(fast, bin, "serve", addr, strconv.Itoa(pingPort))
	if err != nil {
		return err
	}
	defer srv.stop(syscall.SIGTERM)
	if err := r.ready(srv, pingPort, fast); err != nil {
		return err
	}
	out, err := r.client(bin, "call", addr, strconv.Itoa(pingPort), strconv.Itoa(r.cfg.Pings))
	if err != nil {
		return err
	}
	var took []float64
	for _, line := range strings.Fields(out) {
		ns, err := strconv.ParseFloat(line, 64)
		if err != nil {
			return fmt.Errorf("pingpong printed %q", line)
		}
		took = append(took, ns/1000)
	}
	slices.Sort(took)
	p.Ping = append(p.Ping, PingRound{took[len(took)/2], took[len(took)*99/100]})
	return nil
}

// ready waits until the server listens and, accelerated, until a program
// holds queues.
func (r *run) ready(srv *process, port int, fast bool) error {
	err := srv.until(func() bool {
		out, _ := r.bed.Server.Run("ss", "-Hltn", "sport", "=", fmt.Sprintf(":%d", port))
		if strings.TrimSpace(out) == "" {
			return false
		}
		if !fast {
			return true
		}
		st, err := broker.Query(r.socket, patience)
		return err == nil && st.Queues() > 0
	})
	if err != nil {
		return fmt.Errorf("%w; the server wrote: %s", err, srv.output())
	}
	return nil
}

// watchKernel looks for established connections of the kernel's on a port
// until the function it returns is called, which tells the most it saw.
func (r *run) watchKernel(port int) func() int {
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				most <- n
				return
			case <-time.After(500 * time.Millisecond):
			}
			out, _ := r.bed.Server.Run("ss", "-Htn", "state", "established", "sport", "=", fmt.Sprintf(":%d", port))
			n = max(n, strings.Count(out, "\n"))
		}
	}()
	return func() int {
		close(stop)
		return <-most
	}
}

func packets(st broker.Status) uint64 {
	rx, tx := st.Packets()
	return rx + tx
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

package bench

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluice-net/sluice/testbed"
	"github.com/sluice-net/sluice/testbed/nginx"
	"github.com/sluice-net/sluice/testbed/wrk"
)

const webClients = 64

//go:embed latency.lua
var latencyScript string

// writeScript puts the script for wrk where programs run.
func writeScript(dir string) error {
	return os.WriteFile(filepath.Join(dir, "latency.lua"), []byte(latencyScript), 0o644)
}

// web is a page of 600 bytes from nginx with one worker.
func web(name, title, unit string, headers ...string) Work {
	w := Work{Name: name, Title: title, Unit: unit, Bed: oneQueue, Needs: []string{"nginx", "wrk"}, Package: "nginx-light, wrk"}
	for _, p := range []Path{Kernel, Server, Both} {
		w.Variants = append(w.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) {
			return site{path: p, workers: 1, headers: headers}.run(s)
		}})
	}
	return w
}

// scaling is one worker against two, on four queues.
func scaling() Work {
	w := Work{
		Name: "workers", Title: "nginx keep-alive on 4 queues: 1 worker, 2 workers", Unit: "requests/s", Cores: 3, Long: true,
		Bed: testbed.Config{Queues: 4}, Needs: []string{"nginx", "wrk"}, Package: "nginx-light, wrk",
		Note: "on two processors the second worker shares one with the client: the cost per request tells more than the rate",
	}
	for _, p := range []Path{Kernel, Server} {
		for workers := 1; workers <= 2; workers++ {
			w.Variants = append(w.Variants, Variant{Name: fmt.Sprintf("%d workers, %s", workers, p), Path: p, run: func(s *Session) (*Sample, error) {
				return site{path: p, workers: workers}.run(s)
			}})
		}
	}
	return w
}

// site is one run of nginx under wrk.
type site struct {
	path    Path
	workers int
	headers []string // that wrk adds
	log     bool     // nginx writes its access log
}

func (x site) run(s *Session) (*Sample, error) {
	at := s.port()
	ng := nginx.Site{Dir: filepath.Join(s.dir, "nginx"), Port: at, Backend: 1, Workers: x.workers, NoLog: !x.log}
	defer os.RemoveAll(ng.Dir)
	conf, err := ng.Write()
	if err != nil {
		return nil, err
	}
	if err := writeScript(s.dir); err != nil {
		return nil, err
	}
	args := []string{"-t1", "-c" + strconv.Itoa(webClients), "-d" + strconv.Itoa(max(1, int(s.seconds+0.5))) + "s", "--latency", "-s", "latency.lua"}
	for _, h := range x.headers {
		args = append(args, "-H", h)
	}
	args = append(args, "http://"+netip.AddrPortFrom(s.server.ip, uint16(at)).String()+"/index.html")
	return load{
		path: x.path, port: at, cores: joinCores(s.cores[:min(x.workers, len(s.cores))]...),
		server: command{Program: "nginx", Args: []string{"-c", conf}},
		client: command{Program: "wrk", Args: args},
		ready:  []func() bool{func() bool { return len(ng.WorkerPids()) == x.workers }},
		read:   readWrk,
	}.run(s)
}

// readWrk takes wrk's summary, and the latencies that the script prints.
func readWrk(s *Sample, out *output) error {
	text := string(out.Stdout)
	r, err := wrk.Parse(text)
	if err != nil {
		return err
	}
	if r.Errors > 0 {
		return fmt.Errorf("wrk met %d errors:\n%s", r.Errors, tail(text))
	}
	h := newHist()
	for line := range strings.Lines(text) {
		var us, n int64
		if c, _ := fmt.Sscanf(line, "latency %d %d", &us, &n); c == 2 {
			if err := h.RecordValues(us*1000, n); err != nil {
				return err
			}
		}
	}
	s.record(h)
	s.Rate, s.Count = r.PerSecond, uint64(r.Requests)
	return nil
}

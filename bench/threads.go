package bench

import (
	"fmt"
	"strconv"
)

// threads is a server with a thread for each connection, and connections that are all in use.
func threads(counts ...int) Work {
	w := Work{
		Name: "threads", Title: "64 bytes each way, a thread of the server's for each connection, all in use", Unit: "round trips/s", Bed: oneQueue,
		Note: "the server has all processors, and shares the client's",
	}
	for _, n := range counts {
		for _, p := range []Path{Kernel, Server, Both} {
			w.Variants = append(w.Variants, Variant{Name: threadVariant(n, p), Path: p, run: func(s *Session) (*Sample, error) {
				return threadsRun(s, p, n)
			}})
		}
	}
	return w
}

func threadVariant(n int, p Path) string { return fmt.Sprintf("%d connections, %s", n, p) }

func threadsRun(s *Session, p Path, n int) (*Sample, error) {
	ip, at := s.server.ip.String(), s.port()
	port := strconv.Itoa(at)
	sample, err := load{
		path: p, port: at, cores: joinCores(s.cores...),
		server: command{Program: "threads", Args: []string{"serve", ip, port}},
		client: command{Program: "threads", Args: []string{"call", ip, port, strconv.Itoa(n), s.duration()}},
		read:   readLatencies,
	}.run(s)
	if err != nil {
		return nil, err
	}
	sample.Rate *= float64(n) // readLatencies takes them as one after the other
	return sample, nil
}

func threadTargets(counts ...int) (c []Comparison) {
	for _, n := range counts {
		for _, p := range []Path{Server, Both} {
			c = append(c,
				Comparison{Name: threadVariant(n, p) + ", rate", Of: threadVariant(n, p), To: threadVariant(n, Kernel), Figure: Rate},
				Comparison{Name: threadVariant(n, p) + ", p99", Of: threadVariant(n, p), To: threadVariant(n, Kernel), Figure: P99})
		}
	}
	return c
}

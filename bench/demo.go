package bench

import (
	"context"
	"io"
)

// Demo measures what `sluice demo` shows, on the paths Kernel and Server: nginx as Debian sets it up, with its access log,
// for that many seconds, and round trips of one byte.
func Demo(ctx context.Context, cfg Config, progress io.Writer) (web, ping *Result, err error) {
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	pages := Work{Name: "nginx", Unit: "requests/s", Bed: oneQueue, Needs: []string{"nginx", "wrk"}, Package: "nginx-light, wrk"}
	trips := Work{Name: "ping-pong", Bed: oneQueue, Seconds: 0.5}
	for _, p := range []Path{Kernel, Server} {
		pages.Variants = append(pages.Variants, Variant{Name: p.String(), Path: p, run: site{path: p, workers: 1, log: true}.run})
		trips.Variants = append(trips.Variants, Variant{Name: p.String(), Path: p, run: func(s *Session) (*Sample, error) {
			return pings(s, p, "block", "call", "1")
		}})
	}
	if web, err = s.Measure(pages, progress); err == nil {
		ping, err = s.Measure(trips, progress)
	}
	return web, ping, err
}

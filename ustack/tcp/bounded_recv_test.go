package tcp

import "testing"

// TestReassemblyFloodIsBounded: a peer that sends single bytes with a hole before each, in whatever order, fills a bounded
// number of runs and frames, and moves a bounded number of them for each segment (at most maxRuns).
func TestReassemblyFloodIsBounded(t *testing.T) {
	for name, at := range map[string]func(i int) int{
		"upwards":     func(i int) int { return 2 + 2*(i%15000) },
		"downwards":   func(i int) int { return 30000 - 2*(i%15000) },
		"both ends":   func(i int) int { return []int{2 + i%7000, 30000 - i%7000}[i&1] &^ 1 },
		"all over":    func(i int) int { return 2 + i*7919%15000*2 },
		"overlapping": func(i int) int { return 2 + i*37%14000 },
	} {
		s := newSteady(t)
		n := 1
		if name == "overlapping" {
			n = 60
		}
		for i := range 20_000 {
			s.in(at(i), n)
			r := s.c.ooo
			must(t, r == nil || len(r.runs) <= maxRuns && r.frames <= 2*maxRuns, "%s: too much is kept", name)
		}
		checkConn(t, s.c)
		must(t, s.pool.Free() > rigFrames/16-2, "%s: %d frames are left", name, s.pool.Free())
	}
}

// BenchmarkReceiveFloods is the time for one hostile segment; the first line is the usual one.
func BenchmarkReceiveFloods(b *testing.B) {
	for _, x := range []struct {
		name string
		step func(s *steady, i int)
	}{
		{"in order, 1448 bytes, read", func(s *steady, i int) { s.in(0, 1448); s.drain() }},
		{"in order, 1 byte, read", func(s *steady, i int) { s.in(0, 1); s.drain() }},
		{"1-byte holes upwards", func(s *steady, i int) { s.in(2+2*(i%15000), 1) }},
		{"1-byte holes downwards", func(s *steady, i int) { s.in(30000-2*(i%15000), 1) }},
		{"1-byte holes all over", func(s *steady, i int) { s.in(2+i*7919%15000*2, 1) }},
		{"duplicate ACKs", func(s *steady, i int) { s.in(0, 0) }},
		{"old data", func(s *steady, i int) { s.in(-100, 100) }},
		{"beyond the window", func(s *steady, i int) { s.in(10_000_000, 100) }},
	} {
		b.Run(x.name, func(b *testing.B) {
			s := newSteady(b)
			b.ReportAllocs()
			for i := range b.N {
				s.now += 1000
				x.step(s, i)
			}
		})
	}
}

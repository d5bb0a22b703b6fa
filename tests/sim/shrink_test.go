package sim

import (
	"encoding/json"
	"slices"
	"time"
)

// shrink makes a failing plan smaller for as long as it fails, in any way: fewer connections, faults, operations and bytes,
// plainer links and hosts. It returns the smallest found within the time, and how that fails.
func shrink(p *plan, limit time.Duration) (small *plan, err error, tries int) {
	small, end := p, time.Now().Add(limit)
	for again := true; again && time.Now().Before(end); {
		again = false
		for _, step := range steps(small) {
			q := small.clone()
			step(q)
			if time.Now().After(end) {
				break
			}
			tries++
			if r := q.run(); r.err != nil {
				small, err, again = q, r.err, true
				break
			}
		}
	}
	if err == nil {
		err = small.run().err
	}
	return small, err, tries
}

func (p *plan) clone() *plan {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	q := new(plan)
	if err := json.Unmarshal(b, q); err != nil {
		panic(err)
	}
	return q
}

// steps are the ways to make a plan smaller, those that save most first. Each changes the plan it is given.
func steps(p *plan) (out []func(*plan)) {
	for i := range p.Conns {
		if len(p.Conns) > 1 {
			out = append(out, func(q *plan) { q.Conns = slices.Delete(q.Conns, i, i+1) })
		}
	}
	for i := range p.Faults {
		out = append(out, func(q *plan) { q.Faults = slices.Delete(q.Faults, i, i+1) })
	}
	for i := range p.Conns {
		for j := range p.Conns[i].Ops {
			out = append(out, func(q *plan) { q.Conns[i].Ops = slices.Delete(q.Conns[i].Ops, j, j+1) })
		}
		for side, n := range p.Conns[i].Bytes {
			if n > 0 {
				out = append(out, func(q *plan) { q.Conns[i].Bytes[side] = 0 }, func(q *plan) { q.Conns[i].Bytes[side] = n / 2 })
			}
		}
		if p.Conns[i].At > 0 {
			out = append(out, func(q *plan) { q.Conns[i].At = 0 })
		}
	}
	if p.Slow > 0 {
		out = append(out, func(q *plan) { q.Slow = 0 })
	}
	return append(out, plainer(p)...)
}

// plainer are the steps that leave the programs as they are.
func plainer(p *plan) (out []func(*plan)) {
	for i := range p.Link {
		for k := range linkFaults(&p.Link[i]) {
			if *linkFaults(&p.Link[i])[k] != 0 {
				out = append(out, func(q *plan) { *linkFaults(&q.Link[i])[k] = 0 })
			}
		}
		if p.Link[i].Rate > 0 {
			out = append(out, func(q *plan) { q.Link[i].Rate = 0 })
		}
		if p.Link[i].Jitter > 0 {
			out = append(out, func(q *plan) { q.Link[i].Jitter = 0 })
		}
		if p.Traits[i] != (traits{}) {
			out = append(out, func(q *plan) { q.Traits[i] = traits{} })
		}
	}
	if p.V6 {
		out = append(out, func(q *plan) { q.V6 = false })
	}
	if p.Joins {
		out = append(out, func(q *plan) { q.Joins = false })
	}
	if p.Parts {
		out = append(out, func(q *plan) { q.Parts = false })
	}
	if p.MTU != 1500 {
		out = append(out, func(q *plan) { q.MTU = 1500 })
	}
	if p.Frames < 1024 {
		out = append(out, func(q *plan) { q.Frames *= 2 })
	}
	return out
}

func linkFaults(l *Link) []*float64 {
	return []*float64{&l.Loss, &l.Dup, &l.Reorder, &l.Corrupt, &l.Cut, &l.Pad, &l.Mark}
}

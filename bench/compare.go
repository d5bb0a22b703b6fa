package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is a comparison's outcome.
type Verdict struct {
	Name      string    `json:"name"`
	Of        string    `json:"of"`
	To        string    `json:"to,omitempty"`
	Figure    Figure    `json:"figure"`
	Value     float64   `json:"value"`  // median over the rounds
	Rounds    []float64 `json:"rounds"` // each round's own, of neighbours in time
	Kind      string    `json:"kind"`
	Target    string    `json:"target,omitempty"`
	Met       string    `json:"met,omitempty"` // "met", "not met"; empty without a target
	Disturbed []string  `json:"disturbed,omitempty"`
}

var kindNames = [...]string{"times better", "times", "difference", "value"}

// maxSpread of a ratio over the rounds, (largest - smallest) / median, above which its rounds contradict each other.
const maxSpread = 0.5

// compare fills in the verdicts of a result.
func (r *Result) compare(w Work) {
	for _, c := range w.Compare {
		of, to := r.variant(c.Of), r.variant(c.To)
		v := Verdict{Name: c.Name, Of: c.Of, To: c.To, Figure: c.Figure, Kind: kindNames[c.Kind]}
		for i := range of.Samples {
			var b *Sample
			if to != nil && i < len(to.Samples) {
				b = to.Samples[i]
			}
			if x, ok := c.value(of.Samples[i], b); ok {
				v.Rounds = append(v.Rounds, x)
			}
		}
		if len(v.Rounds) == 0 {
			continue // the program does not tell that figure, or no round took its path
		}
		v.Value = median(v.Rounds)
		v.Disturbed = append(of.doubts(), to.doubts()...)
		if c.Kind == Better || c.Kind == Times {
			if s := spread(v.Rounds); s > maxSpread {
				v.Disturbed = append(v.Disturbed, fmt.Sprintf("the rounds differ by %.0f%%", 100*s))
			}
		}
		r.judge(&v, c)
		r.Verdicts = append(r.Verdicts, v)
	}
	if w.Cores > r.cores {
		r.Note = fmt.Sprintf("made for %d processors, this machine gives %d: %s", w.Cores, r.cores, r.Note)
	}
}

// value is one round's.
func (c Comparison) value(of, to *Sample) (float64, bool) {
	if of.Wrong != "" || to != nil && to.Wrong != "" {
		return 0, false
	}
	a := of.figure(c.Figure)
	if c.Kind == Alone {
		return a, true
	}
	if to == nil {
		return 0, false
	}
	b := to.figure(c.Figure)
	if c.Kind == Minus {
		if c.Per > 0 {
			return (a - b) / c.Per, true
		}
		return a - b, true
	}
	if a == 0 || b == 0 {
		return 0, false
	}
	if c.Kind == Better && c.Figure != Rate {
		return b / a, true // less is better
	}
	return a / b, true
}

// judge compares with the target.
func (r *Result) judge(v *Verdict, c Comparison) {
	lowest, highest := c.Min, c.Max
	if c.AsGood != "" {
		for _, o := range r.Verdicts {
			if o.Name == c.AsGood && c.Kind == Times {
				highest = o.Value
			} else if o.Name == c.AsGood {
				lowest = o.Value
			}
		}
	}
	met := true
	switch {
	case lowest > 0:
		v.Target = fmt.Sprintf("≥ %.3g", lowest)
		met = v.Value >= lowest
	case highest > 0:
		v.Target = fmt.Sprintf("≤ %.4g", highest)
		met = v.Value <= highest
	default:
		return
	}
	if c.AsGood != "" {
		v.Target += " (as p50)"
	}
	v.Met = "not met"
	if met {
		v.Met = "met"
	}
}

// doubts is what speaks against a variant's rounds.
func (v *VariantResult) doubts() (notes []string) {
	if v == nil {
		return nil
	}
	var bad []string
	wrong := 0
	for _, s := range v.Samples {
		bad = append(bad, s.Notes...)
		if s.Wrong != "" {
			wrong++
			notes = []string{fmt.Sprintf("%s: %d of %d rounds left out, as they were %s", v.Name, wrong, len(v.Samples), s.Wrong)}
		}
	}
	if len(bad) > 0 {
		notes = append(notes, v.Name+": "+strings.Join(bad, ", "))
	}
	return notes
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread is (largest - smallest) / median.
func spread(all []float64) float64 {
	m := median(all)
	if m == 0 {
		return 0
	}
	return (slices.Max(all) - slices.Min(all)) / m
}

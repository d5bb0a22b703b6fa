package bench

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func timed(us ...float64) (all []*Sample) {
	for _, x := range us {
		all = append(all, &Sample{Latency: &Latency{P50: x, P99: 10 * x}, Rate: 1e6 / x})
	}
	return all
}

func resultOf(variants ...*VariantResult) *Result { return &Result{Variants: variants, cores: 2} }

func TestRatiosAreMediansOfEachRoundsOwn(t *testing.T) {
	r := resultOf(&VariantResult{Name: "a", Samples: timed(10, 40, 5)}, &VariantResult{Name: "b", Samples: timed(20, 80, 15)})
	r.compare(Work{Compare: []Comparison{
		{Name: "p50", Of: "a", To: "b", Figure: P50, Min: 2},
		{Name: "p99", Of: "a", To: "b", Figure: P99, AsGood: "p50"},
		{Name: "rate", Of: "a", To: "b", Figure: Rate, Min: 2.5},
		{Name: "times", Of: "b", To: "a", Figure: P50, Kind: Times, Max: 1.9},
		{Name: "minus", Of: "b", To: "a", Figure: P50, Kind: Minus, Per: 2},
		{Name: "alone", Of: "a", Figure: P50, Kind: Alone, Max: 10},
		{Name: "nothing", Of: "a", To: "b", Figure: Cost},
	}})
	require.Len(t, r.Verdicts, 6, "a figure that nobody told gives no verdict")
	require.Equal(t, []float64{2, 2, 3}, r.Verdicts[0].Rounds)
	values, met := []float64{}, []string{}
	for _, v := range r.Verdicts {
		values, met = append(values, v.Value), append(met, v.Met)
	}
	require.Equal(t, []float64{2, 2, 2, 2, 10 / 2, 10}, values)
	require.Equal(t, []string{"met", "met", "not met", "not met", "", "met"}, met)
	require.Equal(t, "≥ 2 (as p50)", r.Verdicts[1].Target)
}

func TestARoundOnAnotherPathCountsNowhere(t *testing.T) {
	a, b := timed(10, 1), timed(20, 20)
	a[1].Opens = Opens{ServerEngine: 5, ServerKernel: 5, ClientKernel: 10}
	for _, s := range a {
		s.judge(Variant{Path: Raw}, 2)
		require.Empty(t, s.Wrong)
	}
	a[1].judge(Variant{Path: Server}, 2)
	require.Contains(t, a[1].Wrong, "engine opened 5 connections, its kernel 5")
	r := resultOf(&VariantResult{Name: "a", Samples: a}, &VariantResult{Name: "b", Samples: b})
	r.compare(Work{Compare: []Comparison{{Name: "p50", Of: "a", To: "b", Figure: P50}}})
	require.Equal(t, []float64{2}, r.Verdicts[0].Rounds)
	require.Contains(t, r.Verdicts[0].Disturbed[0], "1 of 2 rounds left out")
}

func TestPathsByWhoOpenedTheConnections(t *testing.T) {
	for _, c := range []struct {
		path  Path
		opens Opens
		right bool
	}{
		{Kernel, Opens{ServerKernel: 3, ClientKernel: 3}, true},
		{Kernel, Opens{ServerEngine: 1, ServerKernel: 3, ClientKernel: 3}, false},
		{Kernel, Opens{}, true},
		{Server, Opens{ServerEngine: 1000, ServerKernel: 10, ClientKernel: 1000}, true},
		{Server, Opens{ServerEngine: 1000, ServerKernel: 11, ClientKernel: 1000}, false},
		{Server, Opens{}, false},
		{Both, Opens{ServerEngine: 5, ClientEngine: 5}, true},
		{Both, Opens{ServerEngine: 5, ClientKernel: 5}, false},
	} {
		require.Equal(t, c.right, c.opens.wrong(c.path) == "", "%s %+v: %s", c.path, c.opens, c.opens.wrong(c.path))
	}
}

func TestDisturbancesAreNoted(t *testing.T) {
	s := timed(10)[0]
	s.Seconds, s.CPU = 1, CPU{Server: 0.8, Client: 0.9, SoftIRQ: 0.1, Others: 0.2, Steal: 0.1}
	s.judge(Variant{Path: Raw}, 2)
	require.Equal(t, []string{"5.0% of the time stolen", "other processes took 10.0%"}, s.Notes)
	r := resultOf(&VariantResult{Name: "a", Samples: []*Sample{s}}, &VariantResult{Name: "b", Samples: timed(20)})
	r.compare(Work{Compare: []Comparison{{Name: "p50", Of: "a", To: "b", Figure: P50, Min: 3}}})
	require.Len(t, r.Verdicts[0].Disturbed, 1)
	var out strings.Builder
	r.print(&out)
	require.Contains(t, out.String(), "2.00x  [2 … 2]  ≥ 3  NOT MET  (disturbed)")
	require.Contains(t, out.String(), "disturbed: a: 5.0% of the time stolen")
}

func TestRoundsThatContradictEachOther(t *testing.T) {
	r := resultOf(&VariantResult{Name: "a", Samples: timed(10, 10, 10)}, &VariantResult{Name: "b", Samples: timed(10, 20, 30)})
	r.compare(Work{Compare: []Comparison{{Name: "p50", Of: "a", To: "b", Figure: P50}}})
	require.Equal(t, []string{"the rounds differ by 100%"}, r.Verdicts[0].Disturbed)
}

func TestMedianAndSpread(t *testing.T) {
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 1.0, spread([]float64{3, 1, 2}))
	require.Zero(t, median(nil))
}

// What a comparison names is there: a wrong name would leave it out without a word.
func TestWorksNameTheirVariants(t *testing.T) {
	names := map[string]bool{}
	for _, w := range Works() {
		require.False(t, names[w.Name], w.Name)
		names[w.Name] = true
		have := map[string]bool{"": true}
		for _, v := range w.Variants {
			require.False(t, have[v.Name], v.Name)
			have[v.Name] = true
		}
		asGood := map[string]bool{"": true}
		for _, c := range w.Compare {
			require.True(t, have[c.Of] && have[c.To] && c.Of != "", "%s: %+v", w.Name, c)
			require.Equal(t, c.Kind == Alone, c.To == "", "%s: %+v", w.Name, c)
			require.True(t, asGood[c.AsGood], "%s: %+v", w.Name, c)
			asGood[c.Name] = true
		}
	}
}

func TestChoose(t *testing.T) {
	pick := func(c Config) (names []string) {
		works, err := choose(c)
		require.NoError(t, err)
		for _, w := range works {
			names = append(names, w.Name)
		}
		return names
	}
	require.Equal(t, []string{"pingpong-1"}, pick(Config{Only: []string{"pingpong-1"}}), "a whole name is that work alone")
	require.Equal(t, []string{"pingpong-1", "pingpong-1k", "idle"}, pick(Config{Only: []string{"idle", "ping"}}))
	require.NotContains(t, pick(Config{Quick: true}), "workers")
	require.Contains(t, pick(Config{}), "workers")
	_, err := choose(Config{Only: []string{"nothing"}})
	require.Error(t, err)
}

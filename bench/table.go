package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// describe says what the machine is.
func (rep *Report) describe(out io.Writer) {
	m := rep.Machine
	fmt.Fprintf(out, "%s, %d processors, %d MiB, Linux %s, clock %s, kernel's congestion control %s, %s\n", m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Clock, m.Congestion, m.Go)
	fmt.Fprintf(out, "sluice %s; %d rounds of %g s; load %s\n", rep.Version, rep.Settings.Rounds, rep.Settings.Seconds, m.Load)
	if rep.Settings.Realtime {
		fmt.Fprintln(out, "programs run at a real-time priority: other processes wait, and so do kernel threads that help with softirqs")
	}
	for _, c := range m.Cautions() {
		fmt.Fprintln(out, "caution:", c)
	}
	fmt.Fprintln(out, "times in microseconds, medians over the rounds; spread is (largest - smallest) / median of the first figure;")
	fmt.Fprintln(out, "CPU is microseconds of the whole machine a request (nanoseconds a byte), and its parts: server, client, softirqs, broker, others")
}

func (r *Result) header() []string {
	return []string{"", "p50", "p90", "p99", "p99.9", r.Unit, "spread", "CPU", "server", "client", "softirq", "broker", "others"}
}

// print writes a work's table and its comparisons.
func (r *Result) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s — %s\n", r.Name, r.Title)
	if r.LeftOut != "" {
		fmt.Fprintln(out, "  left out:", r.LeftOut)
		return
	}
	r.printVariants(out)
	r.printVerdicts(out)
	if r.Note != "" {
		fmt.Fprintln(out, "  note:", r.Note)
	}
}

func (r *Result) printVariants(out io.Writer) {
	rows := [][]string{r.header()}
	for _, v := range r.Variants {
		rows = append(rows, v.row(r.Unit))
	}
	// A column that no variant fills is not printed.
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		for i, cell := range row {
			if slices.ContainsFunc(rows[1:], func(o []string) bool { return o[i] != "" }) {
				fmt.Fprintf(w, "%s\t", cell)
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	r.printFigures(out)
}

// row is a variant's line: medians.
func (v *VariantResult) row(unit string) []string {
	row := []string{v.Name}
	latency := func(f func(*Latency) float64) {
		x, _ := v.over(func(s *Sample) float64 {
			if s.Latency == nil {
				return 0
			}
			return f(s.Latency)
		})
		row = append(row, show(x, "%.1f"))
	}
	latency(func(l *Latency) float64 { return l.P50 })
	latency(func(l *Latency) float64 { return l.P90 })
	latency(func(l *Latency) float64 { return l.P99 })
	latency(func(l *Latency) float64 { return l.P999 })
	rate, wide := v.over(func(s *Sample) float64 { return s.Rate })
	row = append(row, showRate(rate))
	if p50, w := v.over(func(s *Sample) float64 { return s.figure(P50) }); p50 > 0 {
		wide = w
	}
	row = append(row, show(100*wide, "%.0f%%"))
	for _, part := range []func(CPU) float64{
		CPU.Total, func(c CPU) float64 { return c.Server }, func(c CPU) float64 { return c.Client },
		func(c CPU) float64 { return c.SoftIRQ }, func(c CPU) float64 { return c.Broker }, func(c CPU) float64 { return c.Others },
	} {
		x, _ := v.over(func(s *Sample) float64 { return s.each(part(s.CPU), unit) })
		row = append(row, show(x, "%.2f"))
	}
	return row
}

// perByte is the unit of the works that carry bytes, not requests.
const perByte = "bytes/s"

// each is CPU seconds for one request, in microseconds, or for one byte, in nanoseconds.
func (s *Sample) each(seconds float64, unit string) float64 {
	switch {
	case s.Count == 0:
		return 0
	case unit == perByte:
		return seconds * 1e9 / float64(s.Count)
	}
	return seconds * 1e6 / float64(s.Count)
}

// printFigures prints what only some works have.
func (r *Result) printFigures(out io.Writer) {
	var names []string
	for _, v := range r.Variants {
		for _, s := range v.Samples {
			for n := range s.Figures {
				if !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
		}
	}
	slices.Sort(names)
	for _, n := range names {
		for _, v := range r.Variants {
			x, wide := v.over(func(s *Sample) float64 { return s.Figures[n] })
			fmt.Fprintf(out, "  %s, %s: %.4g (spread %.0f%%)\n", n, v.Name, x, 100*wide)
		}
	}
}

func (r *Result) printVerdicts(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, v := range r.Verdicts {
		mark := ""
		if len(v.Disturbed) > 0 {
			mark = "(disturbed)"
		}
		fmt.Fprintf(w, "  %s\t%s\t[%s]\t%s\t%s\t%s\n", v.Name, v.text(), v.span(), v.Target, strings.ToUpper(v.Met), mark)
	}
	w.Flush()
	for _, v := range r.Variants {
		for _, d := range v.doubts() {
			fmt.Fprintln(out, "  disturbed:", d)
		}
	}
}

func (v Verdict) text() string {
	if v.Kind == kindNames[Better] || v.Kind == kindNames[Times] {
		return fmt.Sprintf("%.2fx", v.Value)
	}
	return fmt.Sprintf("%.4g", v.Value)
}

func (v Verdict) span() string {
	return fmt.Sprintf("%.3g … %.3g", slices.Min(v.Rounds), slices.Max(v.Rounds))
}

// verdict counts the targets.
func (rep *Report) verdict(out io.Writer) {
	met, missed, doubtful := 0, 0, 0
	for _, r := range rep.Works {
		for _, v := range r.Verdicts {
			switch {
			case v.Target == "":
				continue
			case v.Met == "met":
				met++
			default:
				missed++
			}
			if len(v.Disturbed) > 0 {
				doubtful++
			}
		}
	}
	fmt.Fprintf(out, "\ntargets: %d met, %d not met; %d of these comparisons were disturbed\n", met, missed, doubtful)
	for _, n := range rep.Absent {
		fmt.Fprintln(out, "not measured:", n)
	}
}

func show(x float64, format string) string {
	if x == 0 {
		return ""
	}
	return fmt.Sprintf(format, x)
}

func showRate(x float64) string {
	const mega = 1e6
	switch {
	case x == 0:
		return ""
	case x >= 100*mega:
		return fmt.Sprintf("%.0fM", x/mega)
	}
	return fmt.Sprintf("%.0f", x)
}

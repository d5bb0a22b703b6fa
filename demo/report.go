package demo

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Report is what was measured, as it is written to the JSON file.
type Report struct {
	Kernel Path `json:"kernel"`
	Sluice Path `json:"sluice"`
}

// Path is one path's rounds.
type Path struct {
	Web         []WebRound  `json:"nginx"`
	Ping        []PingRound `json:"ping_pong"`
	Packets     uint64      `json:"packets_through_hidden_queues"` // in and out, while wrk ran
	Connections uint64      `json:"kernel_connections"`            // that nginx got from the kernel, all rounds
}

// WebRound is nginx under wrk.
type WebRound struct {
	PerSecond float64 `json:"requests_per_second"`
	P50       float64 `json:"p50_usec"`
	P99       float64 `json:"p99_usec"`
}

// PingRound is round trips of one byte.
type PingRound struct {
	P50 float64 `json:"p50_usec"`
	P99 float64 `json:"p99_usec"`
}

// row is one line of the table: a figure of each path, and whether more of
// it is better.
type row struct {
	name           string
	kernel, sluice float64
	format         string
	more           bool
}

// ratio is above 1 when sluice is the better one.
func (r row) ratio() string {
	a, b := r.sluice, r.kernel
	if !r.more {
		a, b = b, a
	}
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", a/b)
}

func (rep *Report) rows() []row {
	k, s := rep.Kernel, rep.Sluice
	rate := func(w WebRound) float64 { return w.PerSecond }
	w50, w99 := func(w WebRound) float64 { return w.P50 }, func(w WebRound) float64 { return w.P99 }
	p50, p99 := func(p PingRound) float64 { return p.P50 }, func(p PingRound) float64 { return p.P99 }
	return []row{
		{"nginx requests/s", median(k.Web, rate), median(s.Web, rate), "%.0f", true},
		{"nginx p50 (us)", median(k.Web, w50), median(s.Web, w50), "%.0f", false},
		{"nginx p99 (us)", median(k.Web, w99), median(s.Web, w99), "%.0f", false},
		{"ping-pong p50 (us)", median(k.Ping, p50), median(s.Ping, p50), "%.1f", false},
		{"ping-pong p99 (us)", median(k.Ping, p99), median(s.Ping, p99), "%.1f", false},
	}
}

// print writes the table: medians over the rounds.
func (rep *Report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tkernel\tsluice\tsluice is better by\t")
	for _, r := range rep.rows() {
		fmt.Fprintf(w, "%s\t"+r.format+"\t"+r.format+"\t%s\t\n", r.name, r.kernel, r.sluice, r.ratio())
	}
	fmt.Fprintf(w, "packets through hidden queues\t%d\t%d\t\t\n", rep.Kernel.Packets, rep.Sluice.Packets)
	fmt.Fprintf(w, "connections from the kernel\t%d\t%d\t\t\n", rep.Kernel.Connections, rep.Sluice.Connections)
	w.Flush()
}

// median is the middle figure, the higher one of two.
func median[T any](rounds []T, figure func(T) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, figure(r))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

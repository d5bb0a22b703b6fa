// Command plot draws what tests/sim measured (make sim-report): one SVG for each file of a directory, with cwnd, round-trip
// time and goodput over time, one below the other.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// picture is what TestReport writes.
type picture struct {
	Name  string
	Step  float64
	Flows []struct {
		Name               string
		Cwnd, RTT, Goodput []float64
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: plot DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := one(f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func one(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p picture
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	plots := make([][]*plot.Plot, 3)
	for i, label := range []string{"cwnd (segments)", "round trip (ms)", "goodput (Mbit/s)"} {
		q := plot.New()
		q.Y.Label.Text, q.Y.Min = label, 0
		q.Add(plotter.NewGrid())
		for n, f := range p.Flows {
			line, err := plotter.NewLine(points([][]float64{f.Cwnd, f.RTT, f.Goodput}[i], p.Step))
			if err != nil {
				return err
			}
			line.Color = plotutil.Color(n)
			q.Add(line)
			if i == 0 {
				q.Legend.Add(f.Name, line)
			}
		}
		plots[i] = []*plot.Plot{q}
	}
	plots[0][0].Title.Text, plots[0][0].Legend.Top = p.Name, true
	plots[2][0].X.Label.Text = "seconds"
	return save(strings.TrimSuffix(file, ".json")+".svg", plots)
}

func points(v []float64, step float64) plotter.XYs {
	out := make(plotter.XYs, len(v))
	for i, y := range v {
		out[i] = plotter.XY{X: float64(i+1) * step, Y: y}
	}
	return out
}

// save draws the plots in one column.
func save(path string, plots [][]*plot.Plot) error {
	c := vgsvg.New(8*vg.Inch, 9*vg.Inch)
	for i, row := range plot.Align(plots, draw.Tiles{Rows: len(plots), Cols: 1, PadY: vg.Millimeter}, draw.New(c)) {
		plots[i][0].Draw(row[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := c.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-net/sluice/bench/procfs"
)

// Report is what bench.json holds.
type Report struct {
	When     time.Time      `json:"when"`
	Version  string         `json:"version"` // of the source
	Machine  procfs.Machine `json:"machine"`
	Settings Settings       `json:"settings"`
	Works    []*Result      `json:"works"`
	Absent   []string       `json:"not_measured"`
}

// Settings that two reports must share to be one.
type Settings struct {
	Rounds   int     `json:"rounds"`
	Seconds  float64 `json:"seconds"`
	Realtime bool    `json:"realtime,omitempty"`
	Device   string  `json:"device,omitempty"`
	Peer     string  `json:"peer,omitempty"`
}

// Result is a work's.
type Result struct {
	Name     string           `json:"name"`
	Title    string           `json:"title"`
	Unit     string           `json:"unit,omitempty"`
	Note     string           `json:"note,omitempty"`
	LeftOut  string           `json:"left_out,omitempty"` // why it was not done
	When     time.Time        `json:"when"`
	Load     string           `json:"load"` // averages of the machine when it began
	Variants []*VariantResult `json:"variants,omitempty"`
	Verdicts []Verdict        `json:"comparisons,omitempty"`

	cores int
}

// VariantResult is a variant's rounds.
type VariantResult struct {
	Name    string    `json:"name"`
	Path    string    `json:"path"`
	Samples []*Sample `json:"rounds"`
	// Histogram of all rounds, in nanoseconds: HdrHistogram's V2 compressed encoding, base64.
	Histogram string       `json:"histogram,omitempty"`
	CDF       [][2]float64 `json:"cdf,omitempty"` // of it: microseconds, share of requests at most that long

	merged *hdrhistogram.Histogram
}

func newReport(cfg Config) *Report {
	return &Report{
		When: time.Now(), Version: version, Machine: procfs.Look(), Absent: NotMeasured,
		Settings: Settings{Rounds: cfg.Rounds, Seconds: cfg.Seconds, Realtime: cfg.Realtime, Device: cfg.Device, Peer: cfg.Peer},
	}
}

// version is what git calls the source; the linker sets it (Makefile).
var version = "of unknown version"

func newResult(w Work) *Result {
	m := procfs.Look()
	r := &Result{Name: w.Name, Title: w.Title, Unit: w.Unit, Note: w.Note, When: time.Now(), Load: m.Load, cores: m.Cores}
	for _, v := range w.Variants {
		r.Variants = append(r.Variants, &VariantResult{Name: v.Name, Path: v.Path.String()})
	}
	return r
}

// add takes a round.
func (v *VariantResult) add(s *Sample) {
	v.Samples = append(v.Samples, s)
	if s.hist == nil {
		return
	}
	if v.merged == nil {
		v.merged = newHist()
	}
	v.merged.Merge(s.hist)
	if text, err := v.merged.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
		v.Histogram = string(text)
	}
	v.CDF = v.CDF[:0]
	for _, b := range v.merged.CumulativeDistributionWithTicks(10) {
		v.CDF = append(v.CDF, [2]float64{float64(b.ValueAt) / 1000, b.Quantile / 100})
	}
}

// over is the median over the rounds of a figure, and its spread.
func (v *VariantResult) over(figure func(*Sample) float64) (mid, wide float64) {
	var all []float64
	for _, s := range v.Samples {
		if s.Wrong == "" {
			all = append(all, figure(s))
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	return median(all), spread(all)
}

func (r *Result) variant(name string) *VariantResult {
	for _, v := range r.Variants {
		if v.Name == name && name != "" {
			return v
		}
	}
	return nil
}

func (rep *Report) work(name string) *Result {
	for _, r := range rep.Works {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// has tells whether a work is there already, and was really done.
func (rep *Report) has(name string) bool {
	r := rep.work(name)
	return r != nil && r.LeftOut == ""
}

// add takes a work's result in, in the place of an older one.
func (rep *Report) add(r *Result) {
	for i, old := range rep.Works {
		if old.Name == r.Name {
			rep.Works[i] = r
			return
		}
	}
	rep.Works = append(rep.Works, r)
}

const (
	jsonName = "bench.json"
	htmlName = "bench.html"
)

// recall takes the works of the report in a directory if its settings, source and machine are those of this run.
func (rep *Report) recall(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, jsonName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old Report
	if err := json.Unmarshal(data, &old); err != nil {
		return fmt.Errorf("the report to go on with: %w", err)
	}
	if old.Settings != rep.Settings || old.Version != rep.Version || old.Machine.CPU != rep.Machine.CPU || old.Machine.Kernel != rep.Machine.Kernel {
		return fmt.Errorf("%s is of other settings, another machine or another source (%s); begin anew without --resume", jsonName, old.Version)
	}
	rep.Works = old.Works
	return nil
}

// save writes both files.
func (rep *Report) save(dir string) error {
	if dir == "" {
		return nil
	}
	data, err := json.MarshalIndent(rep, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, jsonName), append(data, '\n'), 0o644),
		writeTo(filepath.Join(dir, htmlName), rep.html),
	)
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

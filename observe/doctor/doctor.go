// Package doctor says whether this host can accelerate, and of a program why each of its sockets is accelerated or not, and what to do about
// it: `sluice doctor`.
//
//	host.go     the kernel's features, found by trying; limits; the broker
//	device.go   each network device
//	program.go  a command that is not running yet: its file
//	process.go  one that runs: preload object, variables, engine
//	sockets.go  its sockets, one by one
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
)

// Verdict is how a finding is meant.
type Verdict string

// Verdicts. Only Bad makes the exit code 1: something that was asked for does not work.
const (
	Good Verdict = "ok"
	Note Verdict = "note" // good to know: as it should be, or slower than it could be
	Bad  Verdict = "bad"
)

// Finding is one thing that was looked at.
type Finding struct {
	About   string  `json:"about"`
	Verdict Verdict `json:"verdict"`
	What    string  `json:"what"`
	Do      string  `json:"do,omitempty"`
}

// Report is all that was found, in order.
type Report struct {
	Findings []Finding `json:"findings"`
}

func (r *Report) add(v Verdict, about, do, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{about, v, fmt.Sprintf(format, args...), do})
}

// try adds Good, or the verdict if err is not nil.
func (r *Report) try(about string, err error, v Verdict, good, do string) bool {
	if err != nil {
		r.add(v, about, do, "%v", err)
		return false
	}
	r.add(Good, about, "", "%s", good)
	return true
}

// Well tells whether nothing is bad.
func (r *Report) Well() bool {
	for _, f := range r.Findings {
		if f.Verdict == Bad {
			return false
		}
	}
	return true
}

// Text writes a line for each finding, and one for what to do.
func (r *Report) Text(w io.Writer) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-5s%s: %s\n", f.Verdict, f.About, f.What)
		if f.Do != "" {
			fmt.Fprintf(w, "     -> %s\n", f.Do)
		}
	}
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Well bool `json:"well"`
		*Report
	}{r.Well(), r})
}

package bench

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"io"
)

//go:embed report.html
var page string

// html writes one page with the report in it, which draws itself without asking any network.
func (rep *Report) html(out io.Writer) error {
	data, err := json.Marshal(rep) // escapes <, > and &, so that no text can end the script
	if err != nil {
		return err
	}
	_, err = out.Write(bytes.Replace([]byte(page), []byte("REPORT_DATA"), data, 1))
	return err
}

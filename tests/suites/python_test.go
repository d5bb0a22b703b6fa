package suites

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// CPython's own tests of its sockets, from Debian's package of them; 127.0.0.1 is replaced by the mirrored address.
func TestPython(t *testing.T) {
	for module, atLeast := range map[string]int{
		"test_socket": 550, "test_selectors": 70, "test_socketserver": 20, "test_httplib": 100, "test_ssl": 140, "test_asyncio": 2000,
	} {
		t.Run(module, func(t *testing.T) {
			needs(t, filepath.Join(root(t), "python/test/test_socket.py"))
			suite(func(m *mirror, w way, only []string) verdicts { return m.python(module, w, only) }).compare(t, atLeast)
		})
	}
}

func (m *mirror) python(module string, w way, only []string) verdicts {
	report := m.Dir + "/junit.xml"
	args := []string{"/usr/bin/python3", "-m", "test", "-u", "network", "-v", "--timeout", "600", "--junit-xml", report, "-i", "*VSOCK*"}
	for _, name := range only {
		args = append(args, "-m", name[strings.LastIndex(name, ".")+1:])
	}
	m.run(module, w, m.Dir, []string{"PYTHONPATH=" + filepath.Join(root(m.T), "python")}, append(args, module)...)
	text, err := os.ReadFile(report)
	require.NoError(m.T, err, "it did not come to its end: see the log below build/suites/log")
	v, err := junit(text)
	require.NoError(m.T, err)
	return v
}

// junit reads the report of regrtest.
func junit(text []byte) (verdicts, error) {
	var report struct {
		Suites []struct {
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, err
	}
	v := verdicts{}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			switch {
			case c.Failure != nil || c.Error != nil:
				v[c.Name] = failed
			case v[c.Name] == failed: // a subtest was
			case c.Skipped != nil:
				v[c.Name] = skipped
			default:
				v[c.Name] = passed
			}
		}
	}
	return v, nil
}

package suites

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// CPython's own tests of its sockets, from Debian's package of them; 127.0.0.1 is replaced by the mirrored address.
func TestPython(t *testing.T) {
	for module, atLeast := range map[string]int{
		"test_socket": 550, "test_selectors": 70, "test_socketserver": 20, "test_httplib": 100, "test_ssl": 140,
	} {
		t.Run(module, func(t *testing.T) { comparePython(t, module, atLeast) })
	}
}

// test_asyncio is a folder of tests, one module after the other.
func TestAsyncio(t *testing.T) {
	needs(t, filepath.Join(root(t), "python/test/test_asyncio/test_events.py"))
	files, err := filepath.Glob(filepath.Join(root(t), "python/test/test_asyncio/test_*.py"))
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, f := range files {
		module := strings.TrimSuffix(filepath.Base(f), ".py")
		if strings.Contains(module, "windows") {
			continue
		}
		t.Run(module, func(t *testing.T) { comparePython(t, "test_asyncio."+module, 1) })
	}
}

// connecting are those of test_asyncio that make connections.
var connecting = []string{
	"test_asyncio.test_base_events", "test_asyncio.test_buffered_proto", "test_asyncio.test_events", "test_asyncio.test_sendfile", "test_asyncio.test_server",
	"test_asyncio.test_sock_lowlevel", "test_asyncio.test_ssl", "test_asyncio.test_sslproto", "test_asyncio.test_streams", "test_asyncio.test_unix_events",
}

func comparePython(t *testing.T, module string, atLeast int) {
	needs(t, filepath.Join(root(t), "python/test/test_socket.py"))
	suite{
		run:     func(m *mirror, w way, only []string) verdicts { return m.python(module, w, only) },
		atLeast: atLeast,
		inside:  strings.HasPrefix(module, "test_asyncio.") && !slices.Contains(connecting, module),
	}.compare(t)
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

package tests

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/knobs"
)

// cParser is the preload object's parser of knobs in a process of its own.
type cParser struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newCParser(t testing.TB) *cParser {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "knobs")
	shim := filepath.Join(root, "shim")
	build := exec.Command("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-I"+shim, "-o", bin, "testdata/knobs.c", filepath.Join(shim, "knobs.c"), filepath.Join(shim, "rules.c"))
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	cmd := exec.Command(bin)
	p := &cParser{}
	p.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(out)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		p.in.Close()
		_ = cmd.Wait()
	})
	return p
}

func (p *cParser) ask(t testing.TB, name, value string) string {
	t.Helper()
	_, err := io.WriteString(p.in, name+"="+value+"\x00")
	require.NoError(t, err)
	line, err := p.out.ReadString('\n')
	require.NoError(t, err, "the parser in C died of %s=%q", name, value)
	return strings.TrimSuffix(line, "\n")
}

// FuzzKnobsAgree: the parser in C and the one in Go take and refuse the same values, and understand the same by them. The
// one in C is built with the sanitizers.
func FuzzKnobsAgree(f *testing.F) {
	for i, k := range knobs.Table {
		for _, v := range []string{k.Default, "", "80,443", "[2001:db8::/32]:80-90", "10.0.0.0/8:*", "/x", "1000000", "eth0,eth1", "[::ffff:1.2.3.4]:80",
			"1.2.3.4/0:1", "*:1-65535", "0x10", "1.2.3.4:08", "/" + strings.Repeat("x", 300)} {
			f.Add(uint8(i), v)
		}
	}
	p := newCParser(f)
	f.Fuzz(func(t *testing.T, which uint8, v string) {
		if strings.IndexByte(v, 0) >= 0 || len(v) > 4000 {
			return // no variable has a zero byte
		}
		k := knobs.Table[int(which)%len(knobs.Table)]
		require.Equal(t, goAnswer(&k, v), p.ask(t, k.Name, v), "%s=%q: the table, the preload object", k.Name, v)
	})
}

// goAnswer is what the parser in C should say.
func goAnswer(k *knobs.Knob, v string) string {
	if k.Check(v) != nil {
		return "refused"
	}
	var rules []knobs.Rule
	switch k.Name {
	case "SLUICE_LISTEN":
		rules, _ = knobs.ParseListen(v)
	case "SLUICE_CONNECT":
		rules, _ = knobs.ParseConnect(v)
	case "SLUICE_SLOW_USEC", "SLUICE_SPIN_USEC":
		n, _ := strconv.Atoi(v)
		return fmt.Sprint(n)
	default:
		return "taken"
	}
	s := "rules"
	for _, r := range rules {
		family, bits, addr := 0, 0, ""
		if r.Net.IsValid() {
			family, bits = 4, r.Net.Bits()
			if r.Net.Addr().Is6() {
				family = 6
			}
			addr = fmt.Sprintf("%x", r.Net.Addr().AsSlice())
		}
		s += fmt.Sprintf(" %d/%d/%s/%d-%d", family, bits, addr, r.Low, r.Top)
	}
	return s
}

package suites

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// redis' own suite in its external-server mode: the server in one namespace, the suite's client in the other, both accelerated or
// neither. In parts, each with a server of its own.
func TestRedis(t *testing.T) {
	dir := filepath.Join(root(t), "redis")
	needs(t, dir+"/tests/test_helper.tcl", "/usr/bin/redis-server")
	for _, part := range redisParts {
		t.Run(part.name, func(t *testing.T) {
			suite{
				atLeast: part.atLeast,
				run:     func(m *mirror, w way, _ []string) verdicts { return m.redis(dir, w, part.name, part.units) },
			}.compare(t)
		})
	}
}

var redisParts = []struct {
	name    string
	atLeast int // tests that pass
	units   string
}{
	{"keys", 150, "printver dump protocol keyspace scan sort expire info info-command"},
	{"strings", 240, "type/string type/incr type/hash bitops bitfield hyperloglog"},
	{"lists", 280, "type/list type/list-2 type/list-3 type/set"},
	{"zsets", 250, "type/zset geo"},
	{"streams", 100, "type/stream type/stream-cgroups"},
	{"rest", 250, "auth other multi quit latency-monitor pubsub pubsubshard slowlog scripting functions maxmemory introspection introspection-2 " +
		"limits obuf-limits memefficiency lazyfree wait pause querybuf pendingquerybuf tracking networking replybufsize"},
}

func (m *mirror) redis(dir string, w way, name, units string) verdicts {
	server := w.command(m.T, "/usr/bin/redis-server", "--bind", m.Server.IPv4.String(), "--protected-mode", "no", "--dir", m.Dir, "--save", "",
		"--enable-protected-configs", "yes", "--enable-debug-command", "yes", "--enable-module-command", "yes")
	p := testrig.Start(m.T, m.Server, m.Env(), server[0], server[1:]...)
	testrig.Until(m.T, "redis", func() bool {
		out, _, _ := testrig.Try(m.Client, nil, "redis-cli", "-h", m.Server.IPv4.String(), "PING")
		return out == "PONG\n"
	})
	args := []string{"/usr/bin/tclsh", "tests/test_helper.tcl", "--host", m.Server.IPv4.String(), "--port", "6379", "--tags", "-slow", "--durable"}
	for u := range strings.FieldsSeq(units) {
		args = append(args, "--single", "unit/"+u)
	}
	inside := append([]string{"/bin/sh", "-c", `cd "$0" && exec "$@" 2>&1`, dir}, w.command(m.T, args...)...)
	out := m.on(m.Client, "redis-"+name+"."+w.name, nil, inside...)
	p.Stop(syscall.SIGTERM)
	require.NotContains(m.T, p.Output(), "BUG REPORT")
	v := verdicts{}
	for line := range strings.Lines(colours.ReplaceAllString(out, "")) {
		if f := redisLine.FindStringSubmatch(strings.TrimSpace(line)); f != nil && v[f[2]] != failed {
			v[f[2]] = map[string]string{"ok": passed, "err": failed, "exception": failed, "ignore": skipped, "skip": skipped}[f[1]]
		}
	}
	return v
}

var (
	colours   = regexp.MustCompile("\x1b\\[[0-9;]*m")
	redisLine = regexp.MustCompile(`^\[(ok|err|exception|ignore|skip)\]: (.*?)(?: \(\d+ ms\)|: .*| in tests/.*)?$`)
)
